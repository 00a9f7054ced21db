"""`python -m fake_services.metadata`: runs the metadata server alone and says where it listens."""

from __future__ import annotations

import argparse
import sys

from fake_services.alone import run_alone
from fake_services.metadata.server import Metadata, MetadataConfig


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; see `run_alone` for the exit status."""
    default = MetadataConfig()
    parser = argparse.ArgumentParser(prog="python -m fake_services.metadata", description=__doc__)
    parser.add_argument("--project", default=default.project, help="the project's id (default: %(default)s)")
    parser.add_argument(
        "--account", default=default.account, help="the service account (default: %(default)s)"
    )
    parser.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose (default)")
    parser.add_argument("--control-port", type=int, default=0, help="0 lets the system choose (default)")
    return run_alone("metadata", Metadata(MetadataConfig(**vars(parser.parse_args(arguments)))), _addresses)


def _addresses(metadata: Metadata) -> dict[str, str]:
    return {"address": metadata.address, "url": metadata.url, "control": metadata.control_url}


if __name__ == "__main__":
    sys.exit(main())
