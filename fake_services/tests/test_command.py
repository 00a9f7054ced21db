"""`python -m fake_services.cloud_tasks`: its one line, its options, its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from fake_services.cloud_tasks.client import emulator_client
from fake_services.cloud_tasks.settings import UsageError, config_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "fake_services.cloud_tasks"]
L = "projects/p/locations/l"


@contextmanager
def running(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    process = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_it_says_where_it_listens_and_stops_within_a_second() -> None:
    options = ["--host", "127.0.0.1", "--grpc-port", "0", "--rest-port", "0", "--control-port", "0"]
    with running(*options) as (process, ready):
        assert list(ready) == ["grpc", "rest", "control"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", ready["grpc"])
        with emulator_client(ready["grpc"]) as client:
            assert list(client.list_queues(parent=L)) == []
        assert httpx.get(f"{ready['rest']}/v2/{L}/queues").json() == {}
        assert httpx.get(f"{ready['control']}/control/health").json()["status"] == "ok"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - started < 1
        assert process.stdout is not None
        assert process.stdout.read() == ""


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_it_listens_on_other_hosts_too(host: str) -> None:
    with running("--host", host, "--auto-create-queues") as (_, ready):
        with emulator_client(ready["grpc"]) as client:
            assert list(client.list_queues(parent=L)) == []
        assert httpx.get(f"{ready['rest']}/v2/{L}/queues").json() == {}
        assert httpx.get(f"{ready['control']}/control/state").json()["grpc"] == ready["grpc"]
        httpx.post(f"{ready['control']}/control/connections", json={"refuse": True})
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{ready['rest']}/v2/{L}/queues")


def test_sigterm_also_ends_calls_and_attempts_that_hang() -> None:
    with running("--auto-create-queues") as (process, ready):
        httpx.post(f"{ready['control']}/control/faults", json={"observed": "timeout", "method": "GetQueue"})
        with socket.create_connection(tuple(ready["rest"].removeprefix("http://").split(":"))) as hanging:  # type: ignore[arg-type]
            hanging.sendall(f"GET /v2/{L}/queues/q HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            state = {"faults": [{"fired": 0}]}
            while not state["faults"][0]["fired"]:
                state = httpx.get(f"{ready['control']}/control/state").json()
            started = time.monotonic()
            process.terminate()
            assert process.wait(10) == 0
            assert time.monotonic() - started < 1


def test_sigterm_does_not_take_longer_when_many_tasks_wait() -> None:
    with running("--queue", f"{L}/queues/q") as (process, ready):
        httpx.post(f"{ready['rest']}/v2/{L}/queues/q:pause")
        task = {"task": {"httpRequest": {"url": "http://127.0.0.1:1/"}}}
        batch = {"requests": [{"parent": f"{L}/queues/q", **task}] * 100}
        for _ in range(100):
            reply = httpx.post(f"{ready['rest']}/v2/{L}/queues/q/tasks:batchCreate", json=batch, timeout=30)
            assert reply.status_code == 200
        started = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - started < 1


def test_command_line_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "fake.toml"
    file.write_text(
        f"""
        clock = "frozen"
        seed = 1
        journal_capacity = 5
        denied_permissions = ["cloudtasks.queues.delete"]
        [semantics]
        dedup_window_s = 86400
        [queues."{L}/queues/q"]
        rate_limits = {{max_dispatches_per_second = 20}}
        retry_config = {{max_attempts = 3, min_backoff = 0.5}}
        """
    )
    environment = {
        "CLOUD_TASKS_FAKE_CONFIG": str(file),
        "CLOUD_TASKS_FAKE_SEED": "2",
        "CLOUD_TASKS_FAKE_CLOCK": "jump",
    }
    config = config_from(
        ["--seed", "3", "--set", "task_size_limit_bytes=102400", "--queue", f"{L}/queues/r"], environment
    )
    assert (config.clock, config.seed, config.journal_capacity) == ("jump", 3, 5)
    assert (config.semantics.dedup_window_s, config.semantics.task_size_limit_bytes) == (86400, 102400)
    assert list(config.queues) == [f"{L}/queues/q", f"{L}/queues/r"]
    assert config.denied_permissions == ("cloudtasks.queues.delete",)


def test_lists_and_pairs_from_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "fake.toml"
    file.write_text(
        """
        locations = ["file-1"]
        projects = ["file"]
        [hosts]
        "worker.internal" = "127.0.0.1"
        [app_engine_services]
        default = "http://127.0.0.1:8080"
        """
    )
    environment = {
        "CLOUD_TASKS_FAKE_PROJECTS": "one,two",
        "CLOUD_TASKS_FAKE_SERVICE_ACCOUNTS": "a@p",
        "CLOUD_TASKS_FAKE_SET": "dedup_window_s=60,quotas=true",
        "CLOUD_TASKS_FAKE_HOSTS": "localhost=host.docker.internal",
    }
    options = ["--denied-permissions", "a.b", "--denied-permissions", "c.d, e.f", "--service-accounts", "b@p"]
    config = config_from(
        ["--config", str(file), *options, "--app-engine-services", "a=http://x:1/?b=c"], environment
    )
    assert (config.locations, config.projects) == (("file-1",), ("one", "two"))
    assert (config.service_accounts, config.denied_permissions) == (("b@p",), ("a.b", "c.d", "e.f"))
    assert (config.hosts, config.app_engine_services) == (
        {"localhost": "host.docker.internal"},
        {"a": "http://x:1/?b=c"},
    )
    assert (config.semantics.dedup_window_s, config.semantics.quotas) == (60, True)


def test_queues_of_the_file_exist_and_survive_a_reset(tmp_path: Path) -> None:
    file = tmp_path / "fake.toml"
    file.write_text(f'[queues."{L}/queues/q"]\nretry_config = {{max_attempts = 3}}\n')
    with running("--config", str(file)) as (_, ready):
        for _ in range(2):
            queue = httpx.get(f"{ready['rest']}/v2/{L}/queues/q").json()
            assert queue["retryConfig"]["maxAttempts"] == 3
            httpx.post(f"{ready['control']}/control/reset")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grpc-port", "x"], "grpc_port is a whole number, not 'x'"),
        (["--clock", "wound"], "clock is one of 'system', 'frozen', 'jump', not 'wound'"),
        (["--set", "nonsense=1"], "no setting 'nonsense'; valid are .*dedup_window_s"),
        (["--set", "throttling=1"], "throttling is true or false"),
        (["--set", "x"], "set takes NAME=VALUE, not 'x'"),
        (["--hosts", "x"], "hosts takes NAME=VALUE, not 'x'"),
        (["--config", "/nonexistent"], "/nonexistent: .*No such file"),
        (["--tls-cert", "x"], "tls_cert and tls_key belong together"),
        (["--queue-yaml", "x"], "queue_yaml needs project and location"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config_from(options, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense = 1", "unknown key 'nonsense'; valid are .*auto_create_queues"),
        ("= 1", "fake.toml: "),
        ("projects = 3", "projects is a list of texts, not 3"),
        ("[hosts]\na = 3", "hosts is a table of texts"),
        (
            f'[queues."{L}/queues/q"]\nretry_config = {{max_attemts = 1}}',
            "has no field 'max_attemts'; it has",
        ),
        (
            f'[queues."{L}/queues/q"]\nretry_config = {{min_backoff = "1s"}}',
            "min_backoff is a number of seconds",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "fake.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        config_from(["--config", str(file)], {})


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--seed", "x"], 64, "cloud_tasks: seed is a whole number"),
        (["--queue", "nope"], 64, "Permission denied on resource project nope."),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_start_ends_with_a_message(options: list[str], status: int, message: str) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--grpc-port", "--rest-port", "--control-port"])
def test_a_port_in_use_is_an_error_that_names_it(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, option, str(port)], capture_output=True, text=True, timeout=20, check=False
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_tls_from_files(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with running(*options) as (_, ready):
        assert ready["rest"].startswith("https://")
        import ssl

        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert httpx.get(f"{ready['rest']}/v2/{L}/queues", verify=context).json() == {}


QUEUE_YAML = """
queue:
- name: default
  rate: 30/m
- name: full
  rate: 10/s
  bucket_size: 40
  max_concurrent_requests: 7
  target: service
  retry_parameters:
    task_retry_limit: 6
    task_age_limit: 2d
    min_backoff_seconds: 10
    max_backoff_seconds: 200
    max_doublings: 0
- name: stopped
  rate: 0
"""


def test_a_queue_yaml_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(QUEUE_YAML)
    with running("--queue-yaml", str(file), "--project", "p", "--location", "l") as (_, ready):

        def queue(name: str) -> Any:
            return httpx.get(f"{ready['rest']}/v2/{L}/queues/{name}").json()

        default = queue("default")
        assert (default["rateLimits"]["maxDispatchesPerSecond"], default["rateLimits"]["maxBurstSize"]) == (
            0.5,
            5,
        )
        assert default["retryConfig"]["maxAttempts"] == -1
        full = queue("full")
        assert full["rateLimits"]["maxConcurrentDispatches"] == 7
        assert full["appEngineRoutingOverride"]["service"] == "service"
        retry = full["retryConfig"]
        assert (retry["maxAttempts"], retry["maxRetryDuration"], retry["minBackoff"]) == (7, "172800s", "10s")
        assert "maxDoublings" not in retry
        assert queue("stopped")["state"] == "DISABLED"
        httpx.post(f"{ready['rest']}/v2/{L}/queues/stopped:resume")
        assert queue("stopped")["state"] == "RUNNING"
        burst = f"{ready['rest']}/v2/{L}/queues/full?updateMask=retryConfig.maxAttempts"
        updated = httpx.patch(burst, json={"retryConfig": {"maxAttempts": 5}}).json()
        assert updated["rateLimits"]["maxBurstSize"] == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queue: 3", "no list of queues"),
        ("- : {", "cannot be read"),
        ("queue: [{rate: 1/s}]", "a mapping with a name"),
        ("queue: [{name: q, rate: fast}]", "rate is like 5/s"),
        ("queue: [{name: q}]", "rate is like 5/s"),
        ("queue: [{name: q, rate: 1/s, mode: pull}]", "only push"),
        ("queue: [{name: q, rate: 1/s, bucket: 3}]", "unknown key 'bucket'; valid are"),
        ("queue: [{name: q, rate: 1/s, bucket_size: x}]", "bucket_size is a number"),
        ("queue: [{name: q, rate: 1/s, retry_parameters: {task_age_limit: 2}}]", "task_age_limit is like 2d"),
        ("queue: [{name: q, rate: 1/s, retry_parameters: 3}]", "retry_parameters is a mapping"),
    ],
)
def test_a_wrong_queue_yaml_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        config_from(["--queue-yaml", str(file), "--project", "p", "--location", "l"], {})


def test_the_helper_reads_the_emulator_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUD_TASKS_EMULATOR_HOST", raising=False)
    with pytest.raises(ValueError, match="set CLOUD_TASKS_EMULATOR_HOST"):
        emulator_client()
    with running() as (_, ready):
        monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", ready["grpc"])
        with emulator_client() as client:
            assert list(client.list_queues(parent=L)) == []


def test_the_gateway_runs_alone_too() -> None:
    command = [sys.executable, "-m", "fake_services", "worker-gateway"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert httpx.get(ready["url"]).status_code == 502
        assert httpx.get(ready["control"] + "/control/health").json()["source"] == "worker_gateway"
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.communicate()
    wrong = subprocess.run(
        [*command, "--upstream", "nope"], capture_output=True, text=True, timeout=20, check=False
    )
    assert (wrong.returncode, "no http(s) URL" in wrong.stderr) == (64, True)
    named = subprocess.run(command[:3], capture_output=True, text=True, timeout=20, check=False)
    assert (named.returncode, "cloud-tasks" in named.stderr) == (64, True)
