"""An HTTP target that answers as told and remembers what it got, for tests of delivery."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fake_services.http_server import HttpServer

__all__ = ["Got", "Target"]


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header whose name matches in case too; None when it is absent."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(eq=False)
class Target:
    """A service for `Host.start`. `answers` are used up in order; afterwards every answer is `default`.

    An answer is a status, (status, headers), (status, headers, body), or "hang".
    """

    answers: list[object] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    default: object = 200

    def attach(self, host: object) -> None:
        """See host.Service."""
        del host
        self._server = HttpServer(self._answer)

    async def start(self) -> None:
        """See host.Service."""
        await self._server.start()

    async def stop(self) -> None:
        """See host.Service."""
        await self._server.stop()

    @property
    def url(self) -> str:
        """Base URL."""
        return self._server.url

    async def _answer(self, request):  # type: ignore[no-untyped-def]
        from aiohttp import web

        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        self.got.append(Got(request.method, request.raw_path, headers, await request.read()))
        answer = self.answers.pop(0) if self.answers else self.default
        if answer == "hang":
            await asyncio.Event().wait()
        status, more, *body = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=more, body=body[0] if body else None)
