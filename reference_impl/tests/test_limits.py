"""When something runs out: the store, the worker's places, Google's certificates. Real processes."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from google.auth import crypt, jwt
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from reference_impl import database
from reference_impl.assembly import Media
from reference_impl.effect import Effects
from reference_impl.job import Job, Route
from reference_impl.settings import API_BOUND_S
from reference_impl.shutdown import Shutdown
from reference_impl.store import Store
from reference_impl.tests.conftest import SECRET
from reference_impl.tests.processes import (
    API,
    WORKER,
    Server,
    manifests,
    post_job,
    wait_settled,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_impl.tests.postgres import Postgres
    from reference_impl.tests.stubs import Identity

TASK = {"job_id": "j1", "episode_id": "ep1", "correlation_id": "c1"}


def send(worker: Server, task: dict[str, str], **headers: str) -> httpx.Response:
    return httpx.post(f"{worker.url}/api/tasks/assemble", json=task, headers=headers, timeout=30)


def test_a_store_that_is_gone_for_a_while(start: Callable[..., Server], media: Path) -> None:
    worker, api = start(WORKER), start(API)
    lock = sqlite3.connect(media / "jobs.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        began = time.monotonic()
        refused = httpx.post(f"{api.url}/api/episodes/ep1/assemble", timeout=30)
        assert time.monotonic() - began < API_BOUND_S
        assert (refused.status_code, "error" in refused.json()) == (503, True)
        assert "assemble.endpoint.not_stored" in api.names()
        failed = send(worker, TASK, **{"X-Tasks-Auth": SECRET})
        assert (failed.status_code, failed.json()["status"]) == (500, "unknown")
        assert worker.names("j1") == ["worker.assemble.start", "worker.assemble.failed"]
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    job = post_job(api)["job_id"]
    assert wait_settled(api, job)["route"] == "inline"
    assert send(worker, TASK, **{"X-Tasks-Auth": SECRET}).status_code == 200


def test_a_database_that_hangs_makes_no_answer_late_and_keeps_nobody_alive(
    start: Callable[..., Server], media: Path, postgres: Postgres
) -> None:
    variables = {"DATABASE_URL": postgres.new_database(), "SHUTDOWN_GRACE_S": "0.5"}
    api, ends = start(API, **variables), start(API, **variables)
    before = post_job(api)["job_id"]
    wait_settled(api, before)
    with postgres.frozen():
        began = time.monotonic()
        refused = httpx.post(f"{api.url}/api/episodes/ep1/assemble", timeout=30)
        assert time.monotonic() - began < API_BOUND_S
        assert refused.status_code == 503
        assert httpx.get(f"{api.url}/healthz", timeout=1).status_code == 200
        began = time.monotonic()
        ends.stop(signal.SIGTERM)
        assert time.monotonic() - began < 8
    job = post_job(api)["job_id"]
    assert wait_settled(api, job)["route"] == "inline"
    (not_stored,) = (e for e in api.events() if e["event"] == "assemble.endpoint.not_stored")
    assert len(manifests(media, not_stored["job_id"])) <= 1  # nobody was promised anything


def test_a_locked_table_is_not_waited_for_for_ever(
    make_store: Callable[..., Store], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database._SESSION, "statement_timeout", 300)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.3)
    store = make_store()
    store.add(Job("j1", "ep1", "c1"))
    lock = create_engine(make_url(database_url).set(drivername=store._engine.url.drivername))
    with lock.connect() as connection:
        postgresql = lock.dialect.name == "postgresql"
        connection.exec_driver_sql("LOCK TABLE jobs" if postgresql else "BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(OperationalError):
            store.claim("j1", "inline")
        assert time.monotonic() - began < 5
    lock.dispose()
    assert store.claim("j1", "inline")


def test_three_processes_fit_into_the_connections_that_postgresql_usually_has(postgres: Postgres) -> None:
    """A hundred, of which three are kept for administrators. Threads without one wait, and all get their answer."""
    store = Store(postgres.new_database(), lease_s=5)
    pool = store._engine.pool
    assert isinstance(pool, QueuePool)
    most = pool.size() + pool._max_overflow
    lock = store._engine.connect()
    lock.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
    with ThreadPoolExecutor(2 * most) as threads, lock:
        found = [threads.submit(store.find, "j1") for _ in range(2 * most)]
        wait_until(lambda: pool.checkedout() == most, "every connection to be in use")
        lock.rollback()
        assert [each.result() for each in found] == [None] * 2 * most
    store.close()

    assert 3 * most <= 97


def test_a_worker_without_a_free_place_says_that_nothing_was_done(
    start: Callable[..., Server], media: Path
) -> None:
    worker = start(WORKER, WORKER_THREADS="1", ASSEMBLY_BYTES_PER_S="3000")
    secret = {"X-Tasks-Auth": SECRET}
    first = threading.Thread(target=send, args=(worker, TASK), kwargs=secret)
    first.start()
    wait_until(lambda: "worker.assemble.start" in worker.names(), "the first task to begin")
    second = send(worker, TASK | {"job_id": "j2"}, **secret)
    first.join()
    assert (second.status_code, second.json()["status"]) == (429, "not_done")
    assert second.headers["Retry-After"] == "1"
    assert worker.names("j2") == ["worker.request.rejected"]
    assert len(manifests(media, "j1")) == 1


def test_many_assemblies_leave_a_thread_to_turn_others_away(start: Callable[..., Server]) -> None:
    many = 44  # more than the threads that the web framework lends
    worker = start(WORKER, WORKER_THREADS=str(many), ASSEMBLY_BYTES_PER_S="1", SHUTDOWN_GRACE_S="0")
    senders = [
        threading.Thread(
            target=send, args=(worker, TASK | {"job_id": f"j{n}"}), kwargs={"X-Tasks-Auth": SECRET}
        )
        for n in range(many)
    ]
    for sender in senders:
        sender.start()
    try:
        wait_until(lambda: worker.names().count("worker.assemble.start") == many, "all to begin", 60)
        assert send(worker, TASK, **{"X-Tasks-Auth": "wrong"}).status_code == 401
        assert send(worker, TASK, **{"X-Tasks-Auth": SECRET}).status_code == 429
    finally:
        worker.stop(signal.SIGTERM)
        for sender in senders:
            sender.join()


def half_a_request(server: Server, path: str) -> socket.socket:
    """A connection over which half a body has come, and no more will; the server has read that much."""
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Tasks-Auth: {SECRET}\r\nContent-Length: 100\r\n\r\n{{"
    connection.sendall(head.encode())
    assert httpx.get(f"{server.url}/healthz").is_success  # who came later was served
    return connection


@pytest.mark.parametrize(
    ("app", "path"),
    [(WORKER, "/api/tasks/assemble"), (API, "/api/episodes/ep1/assemble")],
    ids=["worker", "api"],
)
def test_who_sends_half_a_body_and_waits_keeps_nobody_from_ending(
    start: Callable[..., Server], app: str, path: str
) -> None:
    server = start(app)
    with half_a_request(server, path) as connection:
        began = time.monotonic()
        server.stop(signal.SIGTERM)
        assert time.monotonic() - began < 8
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert [event["reason"] for event in server.events()] == ["body"]


def test_who_goes_away_in_the_middle_of_a_body_leaves_one_line(start: Callable[..., Server]) -> None:
    worker = start(WORKER)
    half_a_request(worker, "/api/tasks/assemble").close()
    wait_until(worker.names, "the request to be given up")
    assert worker.names() == ["worker.request.rejected"]
    assert "Traceback" not in worker.log()


def test_tokens_cannot_be_judged_while_google_cannot_be_reached(
    start: Callable[..., Server], identity: Identity
) -> None:
    nowhere = "http://127.0.0.1:9"
    worker = start(
        WORKER,
        TASKS_OIDC_SERVICE_ACCOUNT="tasks@proj",
        TASKS_OIDC_AUDIENCE="https://w.example",
        https_proxy=nowhere,
        HTTPS_PROXY=nowhere,
    )
    signer = crypt.RSASigner.from_service_account_file(identity.account)  # type: ignore[no-untyped-call]
    token = jwt.encode(signer, {"aud": "https://w.example"}).decode()  # type: ignore[no-untyped-call]
    response = send(worker, TASK, Authorization=f"Bearer {token}")
    assert response.status_code == 503
    assert [event["reason"] for event in worker.events()] == ["certificates-unavailable"]
    assert token not in worker.log()


def test_an_effect_whose_record_failed_is_adopted(
    make_store: Callable[..., Store], media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are visible, and the database is gone before it could say so."""
    store = make_store(lease_s=0.4)
    job = Job("j1", "ep1", "c1")
    store.add(job)
    effects = Effects(store, Media(media), role="api", assembly_max_s=60, shutdown=Shutdown(0))
    real = store.publish

    def break_off(*arguments: object, move: Callable[[], None], **options: object) -> bool:
        def moved_and_cut_off() -> None:
            move()
            raise OperationalError("COMMIT", None, RuntimeError("server closed the connection"))

        return real(*arguments, move=moved_and_cut_off, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(store, "publish", break_off)
        with pytest.raises(OperationalError):
            effects.perform(job, Route.INLINE, wait_s=0)
    again = effects.perform(job, Route.INLINE, wait_s=10)
    assert (again.end, again.repeated) == ("done", True)
    (manifest,) = manifests(media, "j1")
    record = store.find("j1")
    assert record is not None
    assert (record.state, record.checksum) == ("done", manifest["checksum"])


def test_a_heartbeat_survives_a_hiccup_of_the_store(
    make_store: Callable[..., Store], media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(lease_s=0.8)
    job = Job("j1", "ep1", "c1")
    store.add(job)
    real, calls = store.extend, []

    def hiccup(claim: object) -> bool:
        calls.append(claim)
        if len(calls) == 1:
            raise OperationalError("UPDATE", None, RuntimeError("locked"))
        return real(claim)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "extend", hiccup)
    slow = Media(media, bytes_per_s=3200)
    outcome = Effects(store, slow, role="api", assembly_max_s=60, shutdown=Shutdown(0)).perform(
        job, Route.INLINE, wait_s=0
    )
    assert (outcome.end, outcome.repeated) == ("done", False)
    assert len(calls) > 1


def test_json_is_what_the_worker_answers(start: Callable[..., Server]) -> None:
    answer = send(start(WORKER), TASK, **{"X-Tasks-Auth": SECRET})
    assert json.loads(answer.content).keys() == {"job_id", "status", "checksum"}
