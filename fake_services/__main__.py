"""`python -m fake_services NAME …`: runs one of the fakes alone."""

from __future__ import annotations

import importlib
import sys

_FAKES = {
    "cloud-tasks": "fake_services.cloud_tasks.__main__",
    "metadata": "fake_services.metadata.__main__",
    "worker-gateway": "fake_services.worker_gateway.__main__",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the fake that the first argument names; the rest are its own."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] not in _FAKES:
        sys.stderr.write(f"usage: python -m fake_services {{{','.join(_FAKES)}}} [options]\n")
        return 64
    return int(importlib.import_module(_FAKES[words[0]]).main(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
