"""`python -m fake_services.cloud_tasks`: runs the fake alone and says on standard output where it listens."""

from __future__ import annotations

import os
import sys

from fake_services.alone import WRONG_USE, run_alone
from fake_services.cloud_tasks.errors import ApiError
from fake_services.cloud_tasks.server import CloudTasks
from fake_services.cloud_tasks.settings import UsageError, config_from


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; see `run_alone` for the exit status."""
    try:
        fake = CloudTasks(config_from(arguments, os.environ))
    except UsageError as error:
        sys.stderr.write(f"cloud_tasks: {error}\n")
        return WRONG_USE
    # ApiError, ValueError: a configured queue that the service would refuse.
    return run_alone("cloud_tasks", fake, _addresses, ApiError, ValueError)


def _addresses(fake: CloudTasks) -> dict[str, str]:
    return {"grpc": fake.grpc_address, "rest": fake.rest_url, "control": fake.control_url}


if __name__ == "__main__":
    sys.exit(main())
