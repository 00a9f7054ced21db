from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading

import pytest

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.host import Host
from fake_services.tests.conftest import client_of
from fake_services.worker_gateway import WorkerGateway

Q = "projects/p/locations/l/queues/q"


def test_a_fake_loads_its_http_library_only_for_who_asks() -> None:
    """So that there can be one for each test: to load it takes longer than all the rest of a start."""
    code = """
import sys, urllib.request
from fake_services.cloud_tasks import CloudTasks
from fake_services.host import Host

with Host() as host:
    fake = host.start(CloudTasks())
    print("aiohttp" in sys.modules)
    urllib.request.urlopen(fake.control_url + "/control/health").read()
    print("aiohttp" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_closing_leaves_no_thread_and_no_socket() -> None:
    before = set(threading.enumerate())
    with Host() as host:
        fake = host.start(CloudTasks(CloudTasksConfig(auto_create_queues=True)))
        gateway = host.start(WorkerGateway())
        with client_of(fake.grpc_address) as client:
            client.create_task(parent=Q, task={"http_request": {"url": gateway.url + "/x"}})
            fake.journal.wait_for(lambda each: each.kind == "attempt.ended", 10)
        addresses = [("127.0.0.1", fake.grpc_port), ("127.0.0.1", gateway.port)]
    gc.collect()
    left = [
        each.name for each in set(threading.enumerate()) - before if each.name.startswith(("fake", "asyncio"))
    ]
    assert left == []
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)


def test_a_port_in_use_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Host() as host:
        port = taken.getsockname()[1]
        for config in (
            CloudTasksConfig(grpc_port=port),
            CloudTasksConfig(rest_port=port),
            CloudTasksConfig(control_port=port),
        ):
            with pytest.raises(OSError, match=str(port)):
                host.start(CloudTasks(config))
        host.start(CloudTasks())  # the host is still good


def test_a_start_that_is_cancelled_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = WorkerGateway()

    async def cancel_it_half_way() -> None:
        reached = asyncio.Event()

        async def hang() -> None:
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(gateway._control, "start", hang)
        starting = asyncio.create_task(gateway.start())
        await reached.wait()
        socket.create_connection(("127.0.0.1", gateway.port), timeout=5).close()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert starting.cancelled()

    asyncio.run(cancel_it_half_way())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port), timeout=5)


def test_stopping_twice_and_closing_twice_are_harmless() -> None:
    host = Host()
    with host:
        fake = host.start(CloudTasks())
        host.stop(fake)
        host.stop(fake)
        assert fake.idle
    host.close()
    with pytest.raises(RuntimeError, match="not running"):
        host.call(lambda: 1)
    with pytest.raises(RuntimeError, match="not running"):
        host.run(asyncio.sleep(0))


def test_what_takes_too_long_is_an_error_and_ends() -> None:
    with Host(limit_s=0.1) as host, pytest.raises(TimeoutError, match="did not end within"):
        host.run(asyncio.sleep(60))


def test_an_exception_in_the_loop_reaches_the_caller() -> None:
    with Host() as host, pytest.raises(ZeroDivisionError):
        host.call(lambda: 1 // 0)


def test_a_subscriber_may_look_at_the_fake() -> None:
    with Host() as host:
        fake = host.start(CloudTasks())
        seen: list[tuple[str, bool]] = []
        fake.journal.subscribe(lambda each: seen.append((each.kind, fake.idle)))
        fake.create_queue(Q)
        with client_of(fake.grpc_address) as client:
            client.create_task(parent=Q, task={"http_request": {"url": "http://127.0.0.1:1/"}})
        fake.journal.wait_for(lambda each: each.kind == "attempt.ended", 10)
        assert ("rpc", False) in seen


def test_many_callers_at_once_lose_nothing() -> None:
    with Host() as host:
        fake = host.start(CloudTasks())
        fake.create_queue(Q)
        with client_of(fake.grpc_address) as client:
            client.pause_queue(name=Q)

            def work() -> None:
                for _ in range(50):
                    client.create_task(parent=Q, task={"http_request": {"url": "http://127.0.0.1:1/"}})

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                assert isinstance(fake.idle, bool)
            names = [each.name for each in client.list_tasks(parent=Q)]
        assert len(set(names)) == 400
        created = [each for each in fake.journal.snapshot() if each.fields.get("method") == "CreateTask"]
        assert {each.fields["task"] for each in created} == set(names)
