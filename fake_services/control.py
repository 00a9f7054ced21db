"""The HTTP control plane that every fake has: health, journal, faults, state, reset. JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from fake_services.http_server import HttpServer

if TYPE_CHECKING:
    from aiohttp import web

    from fake_services.exchange import Journal
    from fake_services.faults import FaultBook

__all__ = ["ControlError", "ControlPlane", "Controlled", "Route"]

Route = Callable[["web.BaseRequest"], Awaitable["web.StreamResponse | object"]]


class ControlError(Exception):
    """A request that the control plane refuses; the text says what was wrong and what is valid.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Controlled(Protocol):
    """What a fake offers to its control plane. Called in the fake's event loop."""

    journal: Journal
    faults: FaultBook

    def state(self) -> dict[str, object]:
        """Everything that can be seen of it, JSON-able."""

    def reset_now(self) -> None:
        """Back to how it started."""


class ControlPlane:
    """Serves one fake's control plane.

    Args:
        fake: Whom it controls.
        host: Address to listen on.
        port: 0 lets the system choose.
        routes: More routes, keyed "METHOD /path". They return a response, or a value to send as JSON.
    """

    def __init__(
        self, fake: Controlled, *, host: str, port: int = 0, routes: Mapping[str, Route] | None = None
    ) -> None:
        self._fake = fake
        self._server = HttpServer(self._answer, host=host, port=port, lazy=True)
        self._routes: dict[str, Route] = {
            "GET /control/health": self._health,
            "GET /control/journal": self._read_journal,
            "DELETE /control/journal": self._clear_journal,
            "GET /control/faults": self._read_faults,
            "POST /control/faults": self._add_faults,
            "DELETE /control/faults": self._clear_faults,
            "GET /control/state": self._read_state,
            "POST /control/reset": self._reset,
            **(routes or {}),
        }

    @property
    def url(self) -> str:
        """Base URL, without /control."""
        return self._server.url

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        try:
            route = self._routes.get(f"{request.method} {request.path}")
            if route is None:
                raise self._no_route(request)
            answer = await route(request)
        except ControlError as error:
            return _json({"error": str(error)}, error.status)
        if isinstance(answer, web.StreamResponse):
            return answer
        return _json(answer, 200)

    def _no_route(self, request: web.BaseRequest) -> ControlError:
        methods = [key.split(" ")[0] for key in self._routes if key.split(" ")[1] == request.path]
        if methods:
            return ControlError(405, f"{request.path} takes {', '.join(methods)}, not {request.method}")
        return ControlError(404, f"no {request.path!r} here; there are: {', '.join(sorted(self._routes))}")

    async def _health(self, _request: web.BaseRequest) -> object:
        return {"status": "ok", "source": self._fake.journal.source}

    async def _read_journal(self, request: web.BaseRequest) -> object:
        since_seq = int_parameter(request, "since", 0)
        journal = self._fake.journal
        found = journal.snapshot(since_seq)
        kind = request.query.get("kind")
        return {
            "last_seq": journal.last_seq,
            "dropped": journal.dropped,
            "exchanges": [each.to_json() for each in found if kind is None or each.kind == kind],
        }

    async def _clear_journal(self, _request: web.BaseRequest) -> object:
        self._fake.journal.clear()
        return {}

    async def _read_faults(self, _request: web.BaseRequest) -> object:
        return {"faults": self._fake.faults.to_json()}

    async def _add_faults(self, request: web.BaseRequest) -> object:
        try:
            return {"ids": self._fake.faults.add_json(await json_body(request))}
        except ValueError as error:
            raise ControlError(400, str(error)) from error

    async def _clear_faults(self, request: web.BaseRequest) -> object:
        if "id" in request.query:
            fault_id = int_parameter(request, "id", 0)
            try:
                self._fake.faults.remove(fault_id)
            except KeyError:
                raise ControlError(404, f"no fault has the id {fault_id}") from None
        else:
            self._fake.faults.clear()
        return {}

    async def _read_state(self, _request: web.BaseRequest) -> object:
        return self._fake.state()

    async def _reset(self, _request: web.BaseRequest) -> object:
        self._fake.reset_now()
        return {}


def int_parameter(request: web.BaseRequest, name: str, default: int) -> int:
    """A query parameter that is a whole number.

    Raises:
        ControlError: It is something else.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise ControlError(400, f"{name} must be a whole number, not {text!r}")
    return int(text)


async def json_body(request: web.BaseRequest) -> Any:  # any JSON value
    """The request's body as JSON.

    Raises:
        ControlError: It is not JSON.
    """
    body = await request.read()
    try:
        return json.loads(body)
    except ValueError as error:  # also wrong encoding
        raise ControlError(400, f"the body is not JSON: {error}") from error


def _json(value: object, status: int) -> web.Response:
    from aiohttp import web

    body = json.dumps(value, default=str) + "\n"
    return web.Response(text=body, status=status, content_type="application/json")
