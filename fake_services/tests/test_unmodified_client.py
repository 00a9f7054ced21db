"""A program that only says `tasks_v2.CloudTasksClient()`, redirected to the fake from outside, over TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, TlsIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from fake_services.host import Host
    from fake_services.tests.targets import Target

PROGRAM = """
import sys
from google.cloud import tasks_v2

client = tasks_v2.CloudTasksClient()
queue = client.queue_path("p", "us-west1", "q")
task = {"http_request": {"url": sys.argv[1], "http_method": tasks_v2.HttpMethod.POST, "body": b"{}"}}
print(client.create_task(parent=queue, task=task).name)
"""


def test_the_environment_is_enough(host: Host, target: Target, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("cloudtasks.localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    identity = TlsIdentity(cert_pem=chain, key_pem=issued.private_key_pem.bytes())
    fake = host.start(CloudTasks(CloudTasksConfig(tls=identity)))
    fake.create_queue("projects/p/locations/us-west1/queues/q")
    universe = f"localhost:{fake.grpc_port}"
    (tmp_path / "account.json").write_text(json.dumps(account(universe)))
    environment = {
        **os.environ,
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": universe,
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "ca.pem"),
        "NO_GCE_CHECK": "true",
    }
    command = [sys.executable, "-c", PROGRAM, target.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    gone = fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert gone.fields["task"] == done.stdout.strip()
    assert target.got[0].body == b"{}"
    [rpc] = [each for each in fake.journal.snapshot() if each.kind == "rpc"]
    assert "Bearer (hidden)" in str(rpc.fields["metadata"])
    host.stop(fake)


def account(universe: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "throw-away@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:1/token",
        "universe_domain": universe,
    }
