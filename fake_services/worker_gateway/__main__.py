"""`python -m fake_services.worker_gateway`: runs the gateway alone and says where it listens."""

from __future__ import annotations

import argparse
import sys

from fake_services.alone import WRONG_USE, run_alone
from fake_services.worker_gateway.server import WorkerGateway, WorkerGatewayConfig


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; see `run_alone` for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fake_services.worker_gateway", description=__doc__)
    parser.add_argument("--upstream", help="base URL of the real worker")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose (default)")
    parser.add_argument("--control-port", type=int, default=0, help="0 lets the system choose (default)")
    options = parser.parse_args(arguments)
    try:
        gateway = WorkerGateway(WorkerGatewayConfig(**vars(options)))
    except ValueError as error:
        sys.stderr.write(f"worker_gateway: {error}\n")
        return WRONG_USE
    return run_alone("worker_gateway", gateway, _addresses)


def _addresses(gateway: WorkerGateway) -> dict[str, str]:
    return {"url": gateway.url, "control": gateway.control_url}


if __name__ == "__main__":
    sys.exit(main())
