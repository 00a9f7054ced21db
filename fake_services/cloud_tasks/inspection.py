"""What can be seen and steered of a running fake: state, metrics, page, clock, keys, journal stream."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Protocol

from fake_services.cloud_tasks.status_page import status_page
from fake_services.control import ControlError, int_parameter, json_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from fake_services.clock import Clock
    from fake_services.cloud_tasks.config import CloudTasksConfig
    from fake_services.cloud_tasks.dispatcher import Dispatcher
    from fake_services.cloud_tasks.oidc import TokenMaker
    from fake_services.cloud_tasks.queue import TaskQueue
    from fake_services.cloud_tasks.rpc import Rpcs
    from fake_services.cloud_tasks.state import State
    from fake_services.cloud_tasks.task import StoredTask
    from fake_services.cloud_tasks.timekeeper import TimeKeeper
    from fake_services.control import Route
    from fake_services.exchange import Exchange, Journal
    from fake_services.faults import FaultBook

__all__ = ["Inspection"]

_STATES = {1: "RUNNING", 2: "PAUSED", 3: "DISABLED"}
_TASKS_SHOWN = 100


class Inspected(Protocol):
    """What the inspection needs of the fake itself."""

    config: CloudTasksConfig
    journal: Journal
    faults: FaultBook

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC API."""

    @property
    def rest_url(self) -> str:
        """Base URL of the REST API."""

    @property
    def control_url(self) -> str:
        """Base URL of the control plane."""

    async def refuse_now(self, refuse: bool) -> None:  # noqa: FBT001  # refuse_now(True)
        """Refuse connections, or serve again."""

    def reset_now(self) -> None:
        """Forget everything."""


class Inspection:
    """Looks at one fake from its control plane. Everything runs in one event loop."""

    def __init__(
        self,
        fake: Inspected,
        *,
        state: State,
        dispatcher: Dispatcher,
        rpcs: Rpcs,
        clock: Clock,
        keeper: TimeKeeper,
        tokens: TokenMaker,
    ) -> None:
        self._fake = fake
        self._state = state
        self._dispatcher = dispatcher
        self._clock = clock
        self._keeper = keeper
        self._tokens = tokens
        self._rpcs = rpcs
        self._streams: set[asyncio.Queue[Exchange | None]] = set()

    def routes(self) -> Mapping[str, Route]:
        """Routes for the control plane."""
        return {
            "GET /": self._page,
            "GET /metrics": self._metrics,
            "GET /control/clock": self._read_clock,
            "POST /control/clock": self._move_clock,
            "POST /control/connections": self._connections,
            "POST /control/reset": self._reset,
            "GET /control/stream": self._stream,
            "GET /.well-known/openid-configuration": self._discovery,
            "GET /oauth2/v3/certs": self._jwks,
            "GET /oauth2/v1/certs": self._pem_keys,
        }

    def stop(self) -> None:
        """End every journal stream."""
        for stream in self._streams:
            stream.put_nowait(None)

    # --- state ---------------------------------------------------------------------------------------------

    def moving(self) -> str:
        """What still moves, for people; "" when idle. May be called from any thread."""
        with self._dispatcher.lock:
            return self._moving()

    def _moving(self) -> str:
        now_us = self._clock.now_us()
        parts: list[str] = []
        if self._rpcs.held_back:
            parts.append(f"{self._rpcs.held_back} call(s) held back by a fault")
        if self._dispatcher.in_flight:
            parts.append(f"{self._dispatcher.in_flight} attempt(s) in flight")
        for queue in self._state.queues.values():
            due_us = queue.next_due_us()
            if not queue.running or due_us is None:
                continue
            if queue.retrying:
                parts.append(f"{queue.retrying} task(s) waiting for a retry in {queue.name}")
            if due_us <= now_us:
                parts.append(f"tasks due in {queue.name}")
        return "; ".join(parts)

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able; of each queue, the first hundred tasks."""
        with self._dispatcher.lock:
            return self._state_now()

    def _state_now(self) -> dict[str, object]:
        moving = self._moving()
        return {
            "clock": self._clock_state(),
            "idle": not moving,
            "pending": moving or "nothing",
            "grpc": self._fake.grpc_address,
            "rest": self._fake.rest_url,
            "faults": self._fake.faults.to_json(),
            "queues": [self._queue_state(queue) for queue in self._state.queues.values()],
        }

    def _queue_state(self, queue: TaskQueue) -> dict[str, object]:
        return {
            "name": queue.name,
            "state": _STATES[queue.settings.state],
            "tasks_count": len(queue.tasks),
            "in_flight": queue.cap.in_flight,
            "retrying": queue.retrying,
            "max_dispatches_per_second": queue.settings.rate_limits.max_dispatches_per_second,
            "effective_dispatches_per_second": queue.bucket.rate_per_s,
            "max_concurrent_dispatches": queue.cap.limit,
            "max_attempts": queue.settings.retry_config.max_attempts,
            "tasks": [
                _task_state(task) for task, _ in zip(queue.tasks.values(), range(_TASKS_SHOWN), strict=False)
            ],
        }

    def _clock_state(self) -> dict[str, object]:
        return {"mode": self._keeper.mode, "now_us": self._clock.now_us()}

    # --- routes --------------------------------------------------------------------------------------------

    async def _page(self, _request: web.BaseRequest) -> object:
        from aiohttp import web

        recent = [each.to_json() for each in self._fake.journal.snapshot(self._fake.journal.last_seq - 25)]
        text = status_page(self.state(), recent)
        return web.Response(text=text, content_type="text/html")

    async def _read_clock(self, _request: web.BaseRequest) -> object:
        return self._clock_state()

    async def _move_clock(self, request: web.BaseRequest) -> object:
        wanted = await json_body(request)
        valid = '{"mode": "frozen" | "jump"}, {"advance_s": NUMBER} or {"run_until_idle": true}'
        if not isinstance(wanted, dict) or len(wanted) != 1:
            raise ControlError(400, f"the body is {valid}, not {wanted!r}")
        [(what, value)] = wanted.items()
        events = 0
        try:
            if what == "mode":
                await self._keeper.set_mode(value)
            elif what == "advance_s" and isinstance(value, int | float) and not isinstance(value, bool):
                events = await self._keeper.advance(value)
            elif what == "run_until_idle" and value is True:
                events = await self._keeper.run_until_idle()
            else:
                raise ControlError(400, f"the body is {valid}, not {wanted!r}")
        except (ValueError, TypeError, OverflowError) as error:
            raise ControlError(400, str(error)) from error
        return {**self._clock_state(), "events": events}

    async def _connections(self, request: web.BaseRequest) -> object:
        wanted = await json_body(request)
        if not isinstance(wanted, dict) or not isinstance(wanted.get("refuse"), bool):
            raise ControlError(400, f'the body is {{"refuse": true}} or {{"refuse": false}}, not {wanted!r}')
        await self._fake.refuse_now(wanted["refuse"])
        return {"refuse": wanted["refuse"]}

    async def _reset(self, _request: web.BaseRequest) -> object:
        self._fake.reset_now()
        await self._fake.refuse_now(False)
        return {}

    async def _discovery(self, _request: web.BaseRequest) -> object:
        return self._tokens.discovery(self._fake.control_url)

    async def _jwks(self, _request: web.BaseRequest) -> object:
        return self._tokens.jwks()

    async def _pem_keys(self, _request: web.BaseRequest) -> object:
        return self._tokens.pem_keys()

    async def _stream(self, request: web.BaseRequest) -> object:
        """The journal as it grows: one JSON object a line, from `since` on, until either side closes."""
        from aiohttp import web

        since_seq = int_parameter(request, "since", self._fake.journal.last_seq)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        stream: asyncio.Queue[Exchange | None] = asyncio.Queue()
        for exchange in self._fake.journal.snapshot(since_seq):
            stream.put_nowait(exchange)
        self._streams.add(stream)
        unsubscribe = self._fake.journal.subscribe(stream.put_nowait)
        try:
            while (heard := await stream.get()) is not None:
                await response.write((json.dumps(heard.to_json(), default=str) + "\n").encode())
            await response.write_eof()
        finally:
            unsubscribe()
            self._streams.discard(stream)
        return response

    async def _metrics(self, _request: web.BaseRequest) -> object:
        from aiohttp import web

        with self._dispatcher.lock:
            lines = self._metric_lines()
        return web.Response(
            text="\n".join(lines) + "\n", headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    def _metric_lines(self) -> list[str]:
        lines = _counters("calls", "Calls of the API.", ("method", "code"), self._rpcs.counts)
        lines += _counters("attempts", "Ended attempts.", ("outcome", "reason"), self._dispatcher.counts)
        for name, what, attribute in (
            ("tasks", "Live tasks.", lambda queue: len(queue.tasks)),
            ("in_flight", "Attempts in flight.", lambda queue: queue.cap.in_flight),
            ("retrying", "Tasks that wait for a retry.", lambda queue: queue.retrying),
            ("effective_rate", "Dispatches a second, as throttled.", lambda queue: queue.bucket.rate_per_s),
        ):
            lines += [
                f"# HELP cloud_tasks_fake_queue_{name} {what}",
                f"# TYPE cloud_tasks_fake_queue_{name} gauge",
            ]
            lines += [
                f'cloud_tasks_fake_queue_{name}{{queue="{_escaped(queue.name)}"}} {attribute(queue)}'
                for queue in self._state.queues.values()
            ]
        return lines


def _task_state(task: StoredTask) -> dict[str, object]:
    return {
        "id": task.task_id,
        "schedule_us": task.schedule_us,
        "create_us": task.create_us,
        "dispatch_count": task.dispatch_count,
        "response_count": task.response_count,
        "in_flight": task.in_flight,
        "last_status": task.last_status if task.last_response_us else None,
    }


def _counters(
    name: str, what: str, labels: tuple[str, str], counts: Mapping[tuple[str, str], int]
) -> list[str]:
    full_name = f"cloud_tasks_fake_{name}_total"
    return [f"# HELP {full_name} {what}", f"# TYPE {full_name} counter"] + [
        f'{full_name}{{{labels[0]}="{_escaped(first)}",{labels[1]}="{_escaped(second)}"}} {count}'
        for (first, second), count in sorted(counts.items())
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
