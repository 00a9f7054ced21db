# ruff: noqa: E501, PT017  # word lists read better whole; an error is expected here, but need not come
"""Over a hundred thousand hostile inputs: nothing crashes, nothing answers 5xx, and it still serves.

Hypothesis draws bytes, from which a batch of inputs is made, because drawing each part of an input costs more than the
call itself; a batch that fails is shrunk all the same, byte by byte. Most inputs go straight into the transports'
handlers (the same code that sockets feed); some go over real sockets.
"""

from __future__ import annotations

import asyncio
import json
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_services.cloud_tasks import ApiError, CloudTasks, CloudTasksConfig, protos
from fake_services.cloud_tasks.methods import REST_ROUTES
from fake_services.cloud_tasks.rpc import Caller, Method

if TYPE_CHECKING:
    from fake_services.host import Host

L = "projects/p/locations/us-west1"
Q = f"{L}/queues/q"
T = f"{Q}/tasks/t"
SERVER_FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE"}

PER_BATCH = 50
PROTO_BATCHES, REST_BATCHES = 1_440, 720  # 108,000 inputs
DRAWN = st.binary(min_size=2_000, max_size=2_000)


def fuzzing(batches: int) -> settings:
    """The same inputs in every run: a slower or faster machine must not find something else."""
    return settings(
        max_examples=batches,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class Drawn(random.Random):
    """Random choices that are read from drawn bytes; when these are used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data = data
        self._at = 0

    def getrandbits(self, k: int, /) -> int:
        """The next bits; Random makes all its integer choices from these."""
        size = (k + 7) // 8
        chunk = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(chunk.ljust(size, b"\0")) & ((1 << k) - 1)

    def random(self) -> float:
        """The next fraction, of 16 bits."""
        return self.getrandbits(16) / 65_536


@pytest.fixture
def quiet(host: Host) -> Any:
    """A fake with a paused queue, so that nothing is delivered anywhere, on a clock that stands still."""
    config = CloudTasksConfig(clock="frozen", auto_create_queues=False, journal_capacity=100, seed=1)
    fake = host.start(CloudTasks(config))
    fake.create_queue(Q, state="PAUSED")
    yield fake
    still_serves(fake)  # whatever the test has done to it
    host.stop(fake)


# --- protobuf bytes ----------------------------------------------------------------------------------------


def seeds_for(method: Method) -> list[bytes]:
    """Well-formed requests to start from."""
    full: Any = method.request_class()
    for field, value in (
        ("parent", Q),
        ("name", T),
        ("resource", Q),
        ("page_size", 3),
        ("filter", "state: PAUSED"),
    ):
        if field in full.DESCRIPTOR.fields_by_name:
            setattr(full, field, value)
    if "task" in full.DESCRIPTOR.fields_by_name:
        full.task.http_request.url = "http://127.0.0.1:1/"
        full.task.http_request.headers["A"] = "b"
        full.task.schedule_time.seconds = 1_893_456_100
        full.task.dispatch_deadline.seconds = 20
    if "queue" in full.DESCRIPTOR.fields_by_name:
        full.queue.name = f"{L}/queues/other"
        full.queue.retry_config.max_attempts = 3
        full.queue.retry_config.min_backoff.seconds = 1
        full.queue.http_target.uri_override.host = "h"
    if "update_mask" in full.DESCRIPTOR.fields_by_name:
        full.update_mask.paths.extend(["retry_config", "rate_limits.max_dispatches_per_second"])
    return [b"", bytes(full.SerializeToString())]


def mutated(random_: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random_.randint(1, 4)):
        kind, at = random_.randrange(5), random_.randrange(len(data) + 1)
        if kind == 0:
            data[at:at] = random_.randbytes(random_.randint(1, 6))
        elif kind == 1 and data:
            del data[at : at + random_.randint(1, 8)]
        elif kind == 2 and data:
            data[at % len(data)] ^= 1 << random_.randrange(8)
        elif kind == 3 and data:
            data[at:at] = data[random_.randrange(len(data)) :][:20]
        else:
            # A varint that is huge or negative: sizes, enums, durations and timestamps beyond their limits.
            data[at:at] = (
                bytes([random_.choice([0x08, 0x10, 0x18, 0x20])]) + b"\xff" * random_.randint(1, 9) + b"\x01"
            )
    return bytes(data)


@given(data=DRAWN)
@fuzzing(PROTO_BATCHES)
def test_protobuf_bytes(quiet: CloudTasks, data: bytes) -> None:
    random_ = Drawn(data)
    handlers = list(quiet._grpc._methods.items())
    starts = [(path, method, start) for path, method in handlers for start in seeds_for(method)]
    caller = Caller("grpc", ())

    def batch() -> list[str]:
        wrong = []
        for _ in range(PER_BATCH):
            path, method, start = random_.choice(starts)
            raw = mutated(random_, start)
            try:
                quiet._rpcs.execute(method, raw, caller).SerializeToString()
            except ApiError as error:
                if error.code in SERVER_FAULTS:
                    wrong.append(f"{path} {raw.hex()}: {error}")
            except Exception as error:  # noqa: BLE001  # exactly what must not happen
                wrong.append(f"{path} {raw.hex()}: {error!r}")
        return wrong

    assert quiet._call(batch) == []


# --- REST requests -----------------------------------------------------------------------------------------

NAMES = [
    L,
    Q,
    T,
    "projects/p",
    "projects/p/locations/us-west1/queues/other",
    f"{Q}/tasks/-",
    "x",
    "",
    "%2e%2e",
    "é",
]
TAILS = ["", "/queues", "/tasks", ":pause", ":resume", ":purge", ":run", ":setIamPolicy", "/tasks:batchCreate",
         "/tasks:buffer", "/tasks/:buffer", ":getIamPolicy", "/locations", "/cmekConfig", "/operations/1", ":"]  # fmt: skip
QUERIES = ["", "?pageSize=-1", "?pageToken=x", "?updateMask=state,x.y", "?responseView=9", "?alt=json", "?a", "?=&&=",
           "?$alt=json;enum-encoding=int", "?filter=(((", "?updateMask=retryConfig", "?readMask=stats"]  # fmt: skip
KEYS = ["task", "httpRequest", "appEngineHttpRequest", "url", "httpMethod", "headers", "body", "scheduleTime", "name",
        "dispatchDeadline", "retryConfig", "maxAttempts", "minBackoff", "rateLimits", "maxDispatchesPerSecond",
        "httpTarget", "uriOverride", "host", "port", "responseView", "requests", "names", "policy", "bindings",
        "permissions", "oidcToken", "view", "relativeUri", "queue", "requestId", "\ud800", ""]  # fmt: skip
LEAVES: list[Any] = [None, True, -1, 0, 1, 1e308, float("nan"), 2**63, "", "x", "http://127.0.0.1:1/", "3s", "-1s", "1e9s", "%zz",
          "9999-12-31T23:59:59Z", "0000-00-00", "\x00", "\ud800", "POST", 99, T, Q, "AAAA", "!", [], {}]  # fmt: skip


def json_value(random_: random.Random, depth: int) -> Any:
    kind = random_.random()
    if depth == 0 or kind < 0.3:
        return random_.choice(LEAVES)
    if kind < 0.4:
        return [json_value(random_, depth - 1) for _ in range(random_.randrange(3))]
    return {random_.choice(KEYS): json_value(random_, depth - 1) for _ in range(random_.randrange(4))}


def body_of(random_: random.Random) -> bytes:
    if random_.random() < 0.15:
        return random_.randbytes(random_.randrange(30))
    value = json_value(random_, 5)
    if random_.random() < 0.5:
        value = {
            "task": {
                "httpRequest": {"url": "http://127.0.0.1:1/", **(value if isinstance(value, dict) else {})}
            }
        }
    text = json.dumps(value).encode()
    return text if random_.random() < 0.9 else text[: random_.randrange(len(text) + 1)]


class FakeRequest(SimpleNamespace):
    """What the REST API reads of an aiohttp request."""

    async def read(self) -> bytes:
        return bytes(self.body)


@given(data=DRAWN)
@fuzzing(REST_BATCHES)
def test_rest_requests(quiet: CloudTasks, host: Host, data: bytes) -> None:
    random_ = Drawn(data)
    verbs = sorted({route.verb for route in REST_ROUTES} | {"PUT", "HEAD"})

    async def batch() -> list[str]:
        wrong: list[str] = []
        for _ in range(PER_BATCH):
            version = random_.choice(["v2", "v2", "v2beta3", "v3"])
            path = f"/{version}/{random_.choice(NAMES)}{random_.choice(TAILS)}{random_.choice(QUERIES)}"
            request: Any = FakeRequest(
                method=random_.choice(verbs),
                raw_path=path,
                raw_headers=((b"A", b"\xff"),),
                body=body_of(random_),
            )
            try:
                answer: Any = await quiet._rest_api.answer(request)
                if answer.status >= 500:
                    wrong.append(f"{request}: {answer.status} {answer.text}")
            except Exception as error:  # noqa: BLE001  # exactly what must not happen
                wrong.append(f"{request}: {error!r}")
        return wrong

    assert asyncio.run_coroutine_threadsafe(batch(), host._loop).result(60) == []  # type: ignore[arg-type]


def still_serves(fake: CloudTasks) -> None:
    with grpc.insecure_channel(fake.grpc_address) as channel:
        get: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/GetQueue")
        request = protos.message_class("google.cloud.tasks.v2.GetQueueRequest")(name=Q)
        try:
            reply = protos.Queue.FromString(get(request.SerializeToString(), timeout=10))
            assert reply.name == Q
        except grpc.RpcError as error:  # the queue may have been deleted by an input
            assert error.code() is grpc.StatusCode.NOT_FOUND


# --- over sockets ------------------------------------------------------------------------------------------


def test_bytes_that_are_not_http_or_grpc(quiet: CloudTasks) -> None:
    import socket

    random_ = random.Random(1)
    ports = [quiet.grpc_port, *(int(url.rpartition(":")[2]) for url in (quiet.rest_url, quiet.control_url))]
    for number in range(150):
        with socket.create_connection(("127.0.0.1", ports[number % 3]), timeout=5) as raw:
            raw.sendall(random_.randbytes(random_.randrange(1, 200)) + b"\r\n\r\n")
    still_serves(quiet)


def test_hostile_requests_over_sockets(quiet: CloudTasks) -> None:
    random_ = random.Random(2)
    with httpx.Client(base_url=quiet.rest_url) as http:
        for _ in range(500):
            path = f"/v2/{random_.choice(NAMES)}{random_.choice(TAILS)}{random_.choice(QUERIES)}"
            assert (
                http.request(
                    random_.choice(["GET", "POST", "PATCH", "DELETE"]), path, content=body_of(random_)
                ).status_code
                < 500
            )
    with httpx.Client(base_url=quiet.control_url) as http:
        for path in ("/control/faults", "/control/clock", "/control/connections"):
            for _ in range(60):
                body = body_of(random_)
                if b"true" in body and "connections" in path:
                    continue
                assert http.post(path, content=body).status_code < 500
        http.delete("/control/faults")
    with grpc.insecure_channel(quiet.grpc_address) as channel:
        starts = [
            (path, start) for path, method in quiet._grpc._methods.items() for start in seeds_for(method)
        ]
        for _ in range(500):
            path, start = random_.choice(starts)
            call: Any = channel.unary_unary(path)
            try:
                call(mutated(random_, start), timeout=10)
            except grpc.RpcError as error:
                assert error.code().name not in SERVER_FAULTS
    still_serves(quiet)
