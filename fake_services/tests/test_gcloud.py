"""The real gcloud, unmodified, against the fake; skipped only where gcloud is not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

pytestmark = [
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
    pytest.mark.timeout(300),
]

LOCATION = "--location=us-central1"
Gcloud = Callable[..., Any]


@pytest.fixture
def gcloud(fake: CloudTasks, tmp_path: Path) -> Gcloud:
    """Runs gcloud and returns its output as JSON; with `fails=True`, what it says instead."""
    environment = {
        **os.environ,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDTASKS": fake.rest_url + "/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "p",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
    }

    def run(*words: str, fails: bool = False) -> Any:
        command = ["gcloud", *words, "--format=json"]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else json.loads(done.stdout or "null")

    return run


def test_queues(gcloud: Gcloud) -> None:
    gcloud("tasks", "queues", "create", "q", LOCATION, "--max-attempts=7", "--max-dispatches-per-second=3.5")
    queue = gcloud("tasks", "queues", "describe", "q", LOCATION)
    assert queue["rateLimits"] == {
        "maxBurstSize": 10,
        "maxConcurrentDispatches": 1000,
        "maxDispatchesPerSecond": 3.5,
    }
    assert queue["retryConfig"] == {
        "maxAttempts": 7,
        "maxBackoff": "3600s",
        "maxDoublings": 16,
        "minBackoff": "0.100s",
    }
    gcloud("tasks", "queues", "update", "q", LOCATION, "--clear-max-attempts", "--min-backoff=1s")
    gcloud("tasks", "queues", "pause", "q", LOCATION)
    [queue] = gcloud("tasks", "queues", "list", LOCATION)
    assert (queue["retryConfig"]["maxAttempts"], queue["retryConfig"]["minBackoff"]) == (100, "1s")
    assert queue["state"] == "PAUSED"
    gcloud("tasks", "queues", "resume", "q", LOCATION)
    gcloud("tasks", "queues", "purge", "q", LOCATION)
    queue = gcloud("tasks", "queues", "describe", "q", LOCATION)
    assert queue["state"] == "RUNNING"
    assert "purgeTime" in queue
    gcloud("tasks", "queues", "delete", "q", LOCATION)
    assert "NOT_FOUND: Queue does not exist." in gcloud(
        "tasks", "queues", "describe", "q", LOCATION, fails=True
    )
    said = gcloud("tasks", "queues", "create", "q", LOCATION, fails=True)
    assert "existed too recently" in said


def test_a_queues_own_target(gcloud: Gcloud) -> None:
    gcloud(
        "tasks", "queues", "create", "q", LOCATION, "--log-sampling-ratio=0.5", "--routing-override=service:s",
    )  # fmt: skip
    gcloud(
        "tasks", "queues", "update", "q", LOCATION, "--clear-log-sampling-ratio", "--clear-routing-override",
        "--http-uri-override=scheme:HTTP,host:h.test,port:8080,path:/a,query:x=1,mode:IF_NOT_EXISTS",
        "--http-method-override=PUT", "--http-header-override=A: b",
        "--http-oidc-service-account-email-override=a@p", "--http-oidc-token-audience-override=x",
    )  # fmt: skip
    queue = gcloud("tasks", "queues", "describe", "q", LOCATION)
    assert queue["httpTarget"] == {
        "uriOverride": {
            "scheme": "HTTP",
            "host": "h.test",
            "port": "8080",
            "pathOverride": {"path": "/a"},
            "queryOverride": {"queryParams": "x=1"},
            "uriOverrideEnforceMode": "IF_NOT_EXISTS",
        },
        "httpMethod": "PUT",
        "headerOverrides": [{"header": {"key": "A", "value": "b"}}],
        "oidcToken": {"serviceAccountEmail": "a@p", "audience": "x"},
    }
    assert not {"stackdriverLoggingConfig", "appEngineRoutingOverride"} & set(queue)
    gcloud(
        "tasks", "queues", "update", "q", LOCATION, "--clear-http-uri-override", "--clear-http-method-override",
        "--clear-http-header-override", "--clear-http-oidc-service-account-email-override",
        "--clear-http-oidc-token-audience-override",
    )  # fmt: skip
    assert "httpTarget" not in gcloud("tasks", "queues", "describe", "q", LOCATION)


def test_tasks(gcloud: Gcloud, fake: CloudTasks, target: Target) -> None:
    fake.create_queue("projects/p/locations/us-central1/queues/q")
    gcloud("tasks", "queues", "pause", "q", LOCATION)
    created = gcloud(
        "tasks", "create-http-task", "t1", "--queue=q", LOCATION, f"--url={target.url}/x",
        "--body-content=hello",
        "--header=a:b", "--method=put",
    )  # fmt: skip
    assert created["httpRequest"]["httpMethod"] == "PUT"
    [listed] = gcloud("tasks", "list", "--queue=q", LOCATION)
    assert listed["name"].endswith("/queues/q/tasks/t1")
    assert "body" not in gcloud("tasks", "describe", "t1", "--queue=q", LOCATION)["httpRequest"]
    full = gcloud("tasks", "describe", "t1", "--queue=q", LOCATION, "--response-view=full")
    assert full["httpRequest"]["body"] == "aGVsbG8="
    assert gcloud("tasks", "run", "t1", "--queue=q", LOCATION)["dispatchCount"] == 1
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert [(each.method, each.path, each.body) for each in target.got] == [("PUT", "/x", b"hello")]
    gcloud("tasks", "create-app-engine-task", "t2", "--queue=q", LOCATION, "--relative-uri=/y")
    gcloud("tasks", "delete", "t2", "--queue=q", LOCATION)
    assert gcloud("tasks", "list", "--queue=q", LOCATION) == []


def test_buffered_tasks(gcloud: Gcloud, fake: CloudTasks, target: Target) -> None:
    host, port = target.url.removeprefix("http://").split(":")
    override = f"--http-uri-override=scheme:HTTP,host:{host},port:{port},path:/buffered"
    gcloud("tasks", "queues", "create", "q", LOCATION, override)
    gcloud("tasks", "buffer", "--queue=q", LOCATION)
    gcloud("tasks", "buffer", "--queue=q", LOCATION, "--task-id=mine")
    fake.journal.wait_for(
        lambda each: each.kind == "task.gone" and str(each.fields["task"]).endswith("/mine"), 10
    )
    assert [each.path for each in target.got] == ["/buffered", "/buffered"]


def test_policies_and_locations(gcloud: Gcloud, fake: CloudTasks, tmp_path: Path) -> None:
    fake.create_queue("projects/p/locations/us-central1/queues/q")
    assert set(gcloud("tasks", "queues", "get-iam-policy", "q", LOCATION)) == {"etag"}
    gcloud(
        "tasks", "queues", "add-iam-policy-binding", "q", LOCATION, "--member=user:a@example.com",
        "--role=roles/cloudtasks.viewer",
    )  # fmt: skip
    policy = gcloud("tasks", "queues", "get-iam-policy", "q", LOCATION)
    assert policy["bindings"] == [{"members": ["user:a@example.com"], "role": "roles/cloudtasks.viewer"}]
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"bindings": policy["bindings"], "etag": policy["etag"]}))
    gcloud("tasks", "queues", "set-iam-policy", "q", LOCATION, str(file))
    assert "concurrent policy changes" in gcloud(
        "tasks", "queues", "set-iam-policy", "q", LOCATION, str(file), fails=True
    )
    gcloud(
        "tasks", "queues", "remove-iam-policy-binding", "q", LOCATION, "--member=user:a@example.com",
        "--role=roles/cloudtasks.viewer",
    )  # fmt: skip
    assert "bindings" not in gcloud("tasks", "queues", "get-iam-policy", "q", LOCATION)
    assert "us-central1" in [each["locationId"] for each in gcloud("tasks", "locations", "list")]
    described = gcloud("tasks", "locations", "describe", "us-central1")
    assert described["name"] == "projects/p/locations/us-central1"


def test_encryption_settings(gcloud: Gcloud) -> None:
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    gcloud("tasks", "cmek-config", "update", LOCATION, f"--kms-key-name={key}")
    assert gcloud("tasks", "cmek-config", "describe", LOCATION)["kmsKey"] == key
    gcloud("tasks", "cmek-config", "update", LOCATION, "--clear-kms-key")
    assert "kmsKey" not in gcloud("tasks", "cmek-config", "describe", LOCATION)


def test_beta(gcloud: Gcloud, fake: CloudTasks, target: Target) -> None:
    gcloud("beta", "tasks", "queues", "create", "q", LOCATION, "--max-attempts=7")
    gcloud("beta", "tasks", "queues", "update", "q", LOCATION, "--max-attempts=9")
    [queue] = gcloud("beta", "tasks", "queues", "list", LOCATION)
    assert (queue["retryConfig"]["maxAttempts"], queue["type"], queue["tombstoneTtl"]) == (9, "PUSH", "3600s")
    gcloud("beta", "tasks", "create-http-task", "t", "--queue=q", LOCATION, f"--url={target.url}")
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert len(target.got) == 1
