from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core.exceptions import NotFound

from fake_services.faults import Fault

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say


@pytest.fixture
def busy(fake: CloudTasks, client: Client, queue: str, target: Target) -> CloudTasks:
    """A fake with a completed task, a failing one, a paused queue and a fault."""
    client.create_task(parent=queue, task={"http_request": {"url": target.url}})
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    other = queue + "-other"
    fake.create_queue(other, retry_config={"min_backoff": 60})
    client.create_task(parent=other, task={"http_request": {"url": "http://127.0.0.1:1/"}})
    fake.journal.wait_for(lambda each: each.fields.get("outcome") == "failed", 10)
    fake.faults.add(Fault(name="<script>", method="GetTask"))
    return fake


def test_the_state_dump(busy: CloudTasks, queue: str) -> None:
    state = httpx.get(busy.control_url + "/control/state").json()
    assert (state["idle"], state["clock"]["mode"], state["grpc"]) == (False, "system", busy.grpc_address)
    first, other = state["queues"]
    assert (first["name"], first["tasks_count"], first["state"]) == (queue, 0, "RUNNING")
    assert (other["tasks_count"], other["retrying"], other["tasks"][0]["dispatch_count"]) == (1, 1, 1)


def test_metrics_for_prometheus(busy: CloudTasks, queue: str) -> None:
    reply = httpx.get(busy.control_url + "/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.text.splitlines()
    assert 'cloud_tasks_fake_calls_total{method="CreateTask",code="OK"} 2' in lines
    assert 'cloud_tasks_fake_attempts_total{outcome="failed",reason="refused"} 1' in lines
    assert f'cloud_tasks_fake_queue_tasks{{queue="{queue}-other"}} 1' in lines
    for line in lines:  # each is a comment, or a name with labels and one number
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def test_the_status_page_shows_queues_tasks_and_clock_and_escapes_them(busy: CloudTasks, queue: str) -> None:
    reply = httpx.get(busy.control_url + "/")
    assert reply.headers["Content-Type"].startswith("text/html")
    for text in (
        *queue.split("/queues/"),
        "CreateTask",
        "attempt.ended",
        busy.grpc_address,
        "&lt;script&gt;",
        "UTC (system)",
        "working",
    ):
        assert text in reply.text
    assert "<script" not in reply.text
    assert "… and" not in reply.text


def test_the_status_page_says_what_it_leaves_out_and_what_a_failed_call_was_about(
    fake: CloudTasks, client: Client, queue: str
) -> None:
    client.pause_queue(name=queue)
    for _ in range(103):
        client.create_task(parent=queue, task={"http_request": {"url": "http://127.0.0.1:1/"}})
    with pytest.raises(NotFound):
        client.get_task(name=f"{queue}/tasks/missing")
    text = httpx.get(fake.control_url + "/").text
    assert "… and 3 more" in text
    assert f"{queue.rpartition('/')[2]}/tasks/missing" in text


def test_the_status_page_of_an_empty_fake(fake: CloudTasks) -> None:
    text = httpx.get(fake.control_url + "/").text
    for words in ("No queue yet.", "No task waits or runs.", "Nothing happened yet.", "idle"):
        assert words in text


def test_the_journal_is_streamed(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    with httpx.stream("GET", fake.control_url + "/control/stream?since=0", timeout=10) as stream:
        lines = stream.iter_lines()
        assert json.loads(next(lines))["fields"] == {"name": queue, "change": "created"}
        client.create_task(parent=queue, task={"http_request": {"url": target.url}})
        kinds = [json.loads(next(lines))["kind"] for _ in range(4)]
    assert kinds == ["rpc", "attempt.sent", "attempt.ended", "task.gone"]


def test_stopping_ends_a_stream(fake: CloudTasks) -> None:
    with httpx.stream("GET", fake.control_url + "/control/stream?since=0", timeout=10) as stream:
        assert fake._host is not None
        fake._host.stop(fake)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, StopIteration)):
            next(stream.iter_lines())


def test_the_journal_hides_the_callers_credentials(fake: CloudTasks, queue: str) -> None:
    httpx.get(f"{fake.rest_url}/v2/{queue}", headers={"Authorization": "Bearer top-secret"})
    text = httpx.get(fake.control_url + "/control/journal").text
    assert "Bearer (hidden)" in text
    assert "top-secret" not in text


def test_undecodable_requests_are_journaled_too(fake: CloudTasks) -> None:
    import grpc

    with grpc.insecure_channel(fake.grpc_address) as channel:
        call: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/GetQueue")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "undecodable" in fake.journal.snapshot()[0].fields["request"]  # type: ignore[operator]


def test_kinds_can_be_asked_for(busy: CloudTasks) -> None:
    found = httpx.get(busy.control_url + "/control/journal?kind=task.gone").json()["exchanges"]
    assert [each["kind"] for each in found] == ["task.gone"]
    httpx.delete(busy.control_url + "/control/journal")
    assert httpx.get(busy.control_url + "/control/journal").json()["exchanges"] == []
