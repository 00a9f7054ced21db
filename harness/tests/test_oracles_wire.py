from __future__ import annotations

import json

import pytest

from harness.errors import Finding
from harness.oracles import wire
from harness.tests.build import (
    JOB,
    SECRET,
    SECRET_HEADER,
    TASK_PATH,
    WORKER_URL,
    Fact,
    http_request,
    journal,
    request,
    rpc,
)

EXPECTED = wire.ExpectedCall(WORKER_URL, SECRET_HEADER, SECRET, JOB)
JSON_TYPE = ["Content-Type", "application/json"]
RIGHT = ["x-tasks-AUTH", SECRET]


def call(*facts: Fact) -> Finding | None:
    return wire.one_call(journal(*facts), EXPECTED)


def task(*facts: Fact, longest_assembly_s: float = 1800) -> Finding | None:
    return wire.one_task(journal(*facts), EXPECTED, longest_assembly_s=longest_assembly_s)


@pytest.mark.parametrize(
    "good",
    [
        request(),
        request(headers=[JSON_TYPE, RIGHT]),
        request(headers=[["content-type", "application/json; charset=utf-8"], RIGHT]),
        request(body=json.dumps({"episode": JOB.episode_id})),
    ],
)
def test_the_expected_call(good: Fact) -> None:
    assert call(good) is None


@pytest.mark.parametrize(
    ("facts", "expected", "observed"),
    [
        ([], "one request at the worker", "none"),
        ([request(1), request(2)], "one request at the worker", f"POST {TASK_PATH}, POST {TASK_PATH}"),
        ([request(method="PUT")], f"POST {TASK_PATH}", f"PUT {TASK_PATH}"),
        ([request(method="post")], f"POST {TASK_PATH}", f"post {TASK_PATH}"),
        ([request(path="/other")], f"POST {TASK_PATH}", "POST /other"),
        ([request(path=TASK_PATH + "/")], f"POST {TASK_PATH}", f"POST {TASK_PATH}/"),
        ([request(path=TASK_PATH + "?secret=x")], f"POST {TASK_PATH}", f"POST {TASK_PATH}?secret=x"),
        (
            [request(headers=[JSON_TYPE])],
            f"the secret in the header {SECRET_HEADER}",
            "only the headers content-type",
        ),
        (
            [request(headers=[JSON_TYPE, [SECRET_HEADER, "wrong"]])],
            "the secret in the header",
            "another secret",
        ),
        ([request(headers=[JSON_TYPE, [SECRET_HEADER, ""]])], "the secret in the header", "another secret"),
        ([request(headers=[JSON_TYPE, [SECRET_HEADER, SECRET.upper()]])], "the secret", "another secret"),
        (
            [request(headers=[JSON_TYPE, ["Authorization", SECRET]])],
            "the secret",
            "authorization, content-type",
        ),
        ([request(headers=[RIGHT])], "content-type application/json", "None"),
        ([request(headers=[["content-type", "text/plain"], RIGHT])], "content-type", "'text/plain'"),
        ([request(body="")], "a JSON body", "''"),
        ([request(body="job=1")], "a JSON body", "'job=1'"),
        ([request(body='["ep-1"]')], "a JSON object that names the episode ep-1", """'["ep-1"]'"""),
        ([request(body="{}")], "names the episode ep-1", "'{}'"),
        ([request(body='{"ep-1": 1}')], "names the episode ep-1", "ep-1"),
        ([request(body='{"episode_id": "ep-10"}')], "names the episode ep-1", "ep-10"),
    ],
)
def test_every_way_a_call_can_be_wrong(facts: list[Fact], expected: str, observed: str) -> None:
    finding = call(*facts)

    assert finding is not None
    assert finding.oracle == "wire"
    assert expected in finding.expected
    assert observed in finding.observed


def test_a_wrong_secret_is_not_repeated_in_the_finding() -> None:
    finding = call(request(headers=[JSON_TYPE, [SECRET_HEADER, "hunter2"]]))

    assert finding is not None
    assert "hunter2" not in str(finding)
    assert SECRET not in str(finding)


@pytest.mark.parametrize(
    "facts",
    [
        [rpc()],
        [rpc("UNAVAILABLE"), rpc()],
        [rpc(), rpc("ALREADY_EXISTS")],
        [rpc("OK", observed="hang")],
        [rpc(dispatchDeadline="1800.5s")],
        [rpc(httpRequest=http_request(httpMethod=None))],
    ],
    ids=["once", "second try", "twice tried", "reply lost", "fraction", "POST is the default"],
)
def test_the_expected_task(facts: list[Fact]) -> None:
    assert task(*facts) is None


def with_headers(**headers: str) -> Fact:
    return rpc(httpRequest=http_request(headers=headers))


@pytest.mark.parametrize(
    ("facts", "expected", "observed"),
    [
        ([], "one task that Cloud Tasks accepts", "no call"),
        ([rpc("UNAVAILABLE")], "one task", "CreateTask → UNAVAILABLE"),
        ([rpc(), rpc()], "one task", "CreateTask → OK, CreateTask → OK"),
        ([rpc("OK", observed="hang"), rpc()], "one task", "CreateTask → OK, CreateTask → OK"),
        (
            [rpc(httpRequest=http_request(url="http://api:1" + TASK_PATH))],
            f"a task for {WORKER_URL}",
            "http://api:1",
        ),
        ([rpc(httpRequest=http_request(url=WORKER_URL + "/"))], f"a task for {WORKER_URL}", WORKER_URL + "/"),
        ([rpc(httpRequest=None)], f"a task for {WORKER_URL}", "None"),
        ([rpc(httpRequest=http_request(httpMethod="PUT"))], "a task that is POSTed", "PUT"),
        ([rpc(scheduleTime="2030-01-01T00:00:00Z")], "a task that is due at once", "2030-01-01"),
        ([rpc(dispatchDeadline="1799s")], "a dispatch deadline of 1800 s or more", "1799 s"),
        ([rpc(dispatchDeadline=None)], "a dispatch deadline of 1800 s or more", "600 s"),
        (
            [with_headers(**{"Content-Type": "application/json"})],
            "the secret in the header",
            "only the headers",
        ),
        (
            [with_headers(**{"Content-Type": "application/json", SECRET_HEADER: "x"})],
            "the secret",
            "another secret",
        ),
        ([with_headers(**{SECRET_HEADER: SECRET})], "content-type application/json", "None"),
        ([rpc(httpRequest=http_request(headers=None))], "the secret in the header", "only the headers"),
        ([rpc(httpRequest=http_request(body_text=None))], "a JSON body", "''"),
        ([rpc(httpRequest=http_request(body_text="{}"))], "names the episode ep-1", "{}"),
    ],
)
def test_every_way_a_task_can_be_wrong(facts: list[Fact], expected: str, observed: str) -> None:
    finding = task(*facts)

    assert finding is not None
    assert finding.oracle == "wire"
    assert expected in finding.expected
    assert observed in finding.observed


def test_the_default_deadline_is_ten_minutes() -> None:
    assert task(rpc(dispatchDeadline=None), longest_assembly_s=600) is None


def ended(outcome: str, retry_in_s: float | None) -> Fact:
    return Fact("cloud_tasks", "attempt.ended", outcome, {"outcome": outcome, "retry_in_s": retry_in_s})


def test_retried() -> None:
    ends = journal(ended("failed", 0.1), ended("failed", 0.2), ended("success", None))

    assert wire.retried(ends, 2) is None
    assert wire.retried(ends[2:], 0) is None


@pytest.mark.parametrize(
    "facts",
    [
        [],
        [ended("failed", 0.1), ended("success", None)],
        [ended("failed", 0.1), ended("failed", 0.2), ended("failed", None)],
        [ended("failed", 0.2), ended("failed", 0.1), ended("success", None)],
        [ended("failed", 0.1), ended("failed", 0.1), ended("success", None)],
        [ended("failed", 0.1), ended("failed", 0.2), ended("success", None), ended("success", None)],
        [ended("success", None), ended("failed", 0.1), ended("failed", 0.2)],
    ],
)
def test_not_retried_as_documented(facts: list[Fact]) -> None:
    assert wire.retried(journal(*facts), 2)


def keyed(key: str) -> list[list[str]]:
    return [JSON_TYPE, RIGHT, ["idempotency-KEY", key]]


def task_with_key(key: str, **changes: str) -> Fact:
    return rpc(httpRequest=http_request(headers={"Idempotency-Key": key}, **changes))


def test_same_payload() -> None:
    assert (
        wire.same_payload(journal(task_with_key("k"), request(headers=keyed("k")), rpc(method="GetTask")))
        is None
    )
    assert wire.same_payload(journal(task_with_key("k"), request(headers=keyed("other"))))
    assert wire.same_payload(journal(task_with_key("k"), request(headers=keyed("k"), body="{}")))
    assert wire.same_payload(journal(task_with_key("k", body_text="{}"), request(headers=keyed("k"))))
    assert wire.same_payload(journal(task_with_key("k"), request()))
    assert wire.same_payload([])
