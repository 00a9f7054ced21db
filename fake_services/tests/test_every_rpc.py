"""The official Python client over each of its transports: every call, and the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

PROGRAM = Path(__file__).with_name("every_rpc.py")
TRANSPORTS = ["grpc", "grpc_asyncio", "rest"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_call(fake: CloudTasks, new_queue: Callable[[], str], target: Target, transport: str) -> None:
    queue = new_queue()
    address = fake.rest_url if transport == "rest" else fake.grpc_address
    done = subprocess.run(
        [sys.executable, str(PROGRAM), transport, address, target.url, queue],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: Any = json.loads(done.stdout)
    limits, retry = seen["created"]["rate_limits"], seen["created"]["retry_config"]
    assert (limits["max_burst_size"], retry["max_attempts"], retry["min_backoff"]) == (100, 7, "1s")
    assert (seen["got"], seen["listed"], seen["paused"]) == (True, [queue], "PAUSED")
    assert seen["updated"]["rate_limits"]["max_dispatches_per_second"] == 0.5
    assert (seen["updated"]["retry_config"], seen["updated"]["http_target"]["http_method"]) == (retry, 4)
    assert seen["task"]["http_request"]["headers"] == {"X-A": "b", "User-Agent": "Google-Cloud-Tasks"}
    assert (seen["task"]["view"], seen["full"]) == (1, ["FULL", "ff00"])
    assert seen["tasks"] == [[f"{queue}/tasks/mine", "FULL"], [f"{queue}/tasks/other", "FULL"]]
    assert seen["ran"] == [1, 0, False]
    assert seen["batch"] == [f"{queue}/tasks/a", f"{queue}/tasks/c"]
    assert (seen["failed"], seen["deleted"], seen["operation"]) == ({"1": 3}, "SUCCEEDED", True)
    assert (seen["purged"], seen["resumed"]) == (True, "RUNNING")
    assert (seen["policy"], seen["granted"]) == (["roles/cloudtasks.viewer"], ["cloudtasks.tasks.run"])
    assert seen["locations"][0] == "us-central1"
    assert (seen["location"], seen["cmek"]) == (queue.partition("/queues/")[0], ["k", "k"])
    text = "wait at least a minute for the queue to initialize."
    assert (seen["error"][0], seen["error"][1].endswith(text)) == ("NotFound", True)
    calls = {each.fields["method"] for each in fake.journal.snapshot() if each.kind == "rpc"}
    over_grpc = {path.rpartition("/")[2] for path in fake._grpc._methods}
    assert calls == over_grpc  # every call that there is was made
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert [(each.method, each.body) for each in target.got] == [("PUT", b"\xff\x00")]
