"""The metadata server, asked by the library that asks the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import google.auth
import google.auth.compute_engine._metadata as asking
import google.auth.transport.requests
import grpc
import httpx
import pytest
from google.api_core.exceptions import Unauthenticated
from google.auth.compute_engine import Credentials
from google.cloud.tasks_v2 import CloudTasksClient, HttpRequest, Task
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.faults import Fault
from fake_services.host import Host
from fake_services.metadata import Metadata, MetadataConfig

ACCOUNT = "robot@p.iam.gserviceaccount.com"
QUEUE = "projects/p/locations/us-central1/queues/q"
FLAVOR = {"Metadata-Flavor": "Google"}


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture
def metadata(host: Host, monkeypatch: pytest.MonkeyPatch) -> Metadata:
    config = MetadataConfig(
        project="p", account=ACCOUNT, identity=lambda email, audience: f"{email}>{audience}"
    )
    metadata = host.start(Metadata(config))
    # As the environment does it; the library reads that when it is imported.
    monkeypatch.setattr(asking, "_GCE_METADATA_HOST", metadata.address)
    monkeypatch.setenv("GCE_METADATA_IP", metadata.address)
    monkeypatch.setattr(asking, "_NO_GCE_CHECK", False)
    monkeypatch.setattr("google.auth._default._get_gcloud_sdk_credentials", lambda *_, **__: (None, None))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return metadata


def test_the_default_credentials_are_those_of_the_machine(metadata: Metadata) -> None:
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert isinstance(credentials, Credentials)
    assert project == "p"
    assert credentials.universe_domain == "googleapis.com"

    credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]

    assert credentials.service_account_email == ACCOUNT
    assert credentials.token is not None
    assert metadata.has_issued(credentials.token)
    assert credentials.token not in str(metadata.journal.snapshot())


def test_an_identity_token_is_for_its_audience(metadata: Metadata) -> None:
    request = google.auth.transport.requests.Request()
    token: Any = asking.get(  # type: ignore[no-untyped-call]
        request,
        "instance/service-accounts/default/identity",
        params={"audience": "https://w", "format": "full"},
    )
    assert token == f"{ACCOUNT}>https://w"
    assert [e.fields["audience"] for e in metadata.journal.snapshot()] == ["https://w"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/computeMetadata/v1/project/project-id", {}, 403),
        ("/computeMetadata/v1/project/project-id", {**FLAVOR, "X-Forwarded-For": "10.0.0.1"}, 403),
        ("/computeMetadata/v1/instance/service-accounts/default/identity", FLAVOR, 400),
        ("/computeMetadata/v1/instance/service-accounts/other@p/token", FLAVOR, 404),
        ("/computeMetadata/v1/instance/nothing", FLAVOR, 404),
        ("/elsewhere", FLAVOR, 404),
        ("/", {}, 200),
        ("/computeMetadata/v1/instance/service-accounts/", FLAVOR, 200),
        ("/computeMetadata/v1/instance/service-accounts/default/", FLAVOR, 200),
        ("/computeMetadata/v1/instance/service-accounts/default/scopes", FLAVOR, 200),
        ("/computeMetadata/v1/instance/zone", FLAVOR, 200),
    ],
)
def test_every_answer_says_what_it_comes_from(
    metadata: Metadata, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.get(metadata.url + path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Metadata-Flavor"] == "Google"


def test_a_token_ends(host: Host) -> None:
    metadata = host.start(Metadata(MetadataConfig(token_lifetime_s=0.0)))
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    token = httpx.get(metadata.url + path, headers=FLAVOR).json()["access_token"]
    assert not metadata.has_issued(token)


def test_a_machine_may_have_no_account(host: Host) -> None:
    metadata = host.start(Metadata(MetadataConfig(account="")))
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    assert httpx.get(metadata.url + path, headers=FLAVOR).status_code == 404


def test_it_fails_on_request_and_is_reset(metadata: Metadata) -> None:
    metadata.faults.add(Fault(name="down", method="*token", http_status=503))
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    assert httpx.get(metadata.url + path, headers=FLAVOR).status_code == 503
    assert metadata.journal.snapshot()[-1].fields["fault"] == "down"
    token = httpx.get(metadata.url + path, headers=FLAVOR).json()["access_token"]

    metadata.refuse_connections(True)
    with pytest.raises(httpx.ConnectError):
        httpx.get(metadata.url)
    metadata.refuse_connections(False)
    metadata.reset()

    assert not metadata.has_issued(token)
    assert len(metadata.journal) == 0
    with pytest.raises(ValueError, match="metadata server"):
        metadata.faults.add(Fault(name="late", applied="yes", observed="timeout", late="reply"))


def test_cloud_tasks_takes_the_tokens_that_were_issued_and_no_others(host: Host, metadata: Metadata) -> None:
    fake = host.start(
        CloudTasks(CloudTasksConfig(auto_create_queues=True, is_access_token=metadata.has_issued))
    )
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    good = httpx.get(metadata.url + path, headers=FLAVOR).json()["access_token"]
    with grpc.insecure_channel(fake.grpc_address) as channel:
        client = CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        task = Task(http_request=HttpRequest(url="http://127.0.0.1:9/work"))

        for header in ([], [("authorization", "Bearer wrong")], [("authorization", f"Basic {good}")]):
            with pytest.raises(Unauthenticated, match="authentication credential"):
                client.create_task(parent=QUEUE, task=task, metadata=header)
        created = client.create_task(parent=QUEUE, task=task, metadata=[("authorization", f"Bearer {good}")])

    assert created.name.startswith(QUEUE)


def test_it_runs_alone() -> None:
    command = [sys.executable, "-m", "fake_services", "metadata", "--project=mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert httpx.get(ready["url"]).headers["Metadata-Flavor"] == "Google"
        assert httpx.get(ready["control"] + "/control/state").json()["project"] == "mine"
        process.terminate()
        assert process.wait(10) == 0
