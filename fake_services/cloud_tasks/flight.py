"""One attempt on its way: the request (or, after redirects, its successor) and its deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin

from fake_services.cloud_tasks.delivery import Outgoing
from fake_services.http_client import BadUrlError, Failure, Reply, Target, parse_url

if TYPE_CHECKING:
    import threading

    from fake_services.clock import Timer
    from fake_services.cloud_tasks.task import Attempt, StoredTask
    from fake_services.faults import Fault

__all__ = ["Flight"]

_REDIRECT_LIMIT = 10


class Cancellable(Protocol):
    """What is under way: a request, or the end of one that never left."""

    def cancel(self) -> None:
        """Do not go on with it."""


class Tower(Protocol):
    """Where flights start and end: the dispatcher."""

    lock: threading.RLock

    @property
    def follow_redirects(self) -> bool:
        """Whether a 3xx with a Location is followed."""

    def record_sent(self, flight: Flight, headers: list[tuple[str, str]], *, withheld: bool = False) -> None:
        """Journal one request as it leaves, or as a fault withholds it."""

    def send(self, request: Outgoing, target: Target, headers: list[tuple[str, str]], flight: Flight) -> None:
        """Hand a request to the client."""

    def muted(self, flight: Flight) -> None:
        """Nothing is heard of an attempt before its deadline."""

    def ended(
        self, flight: Flight, *, status: int | None, reason: str, retry_after: str | None, detail: str
    ) -> None:
        """An attempt is over."""


class Flight:
    """An attempt on its way. Everything runs in one event loop."""

    __slots__ = (
        "_dispatcher",
        "_now",
        "_redirects",
        "attempt",
        "fault",
        "handle",
        "is_http",
        "request",
        "task",
        "timer",
    )

    def __init__(
        self,
        dispatcher: Tower,
        task: StoredTask,
        attempt: Attempt,
        request: Outgoing,
        fault: Fault | None,
    ) -> None:
        self._dispatcher = dispatcher
        self._redirects = 0
        self._now = request  # or, after redirects, its successor
        self.task = task
        self.attempt = attempt
        self.request = request
        self.fault = fault
        self.is_http = request.is_http
        self.timer: Timer | None = None
        self.handle: Cancellable | None = None

    def send(self, request: Outgoing) -> None:
        """Send the request, or end at once when its URL is none."""
        try:
            target = parse_url(request.url)
        except BadUrlError as error:
            self._dispatcher.record_sent(self, request.headers)
            detail = str(error)
            self.handle = asyncio.get_running_loop().call_soon(
                lambda: self._end(None, "bad_url", None, detail)
            )
            return
        headers = [("Host", target.host_header), *request.headers]
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(request.body))))
        if self._struck_by is not None and self._struck_by.applied == "no":
            self._dispatcher.record_sent(self, headers, withheld=True)
            self.handle = asyncio.get_running_loop().call_soon(self._observe, self._struck_by)
            return
        if not self._redirects:
            self._dispatcher.record_sent(self, headers)
        self._dispatcher.send(request, target, headers, self)

    def answered(self, result: Reply | Failure) -> None:
        """The client has the response, or the reason why there is none."""
        if self._struck_by is not None:
            self._observe(self._struck_by)
            return
        if isinstance(result, Failure):
            self._end(None, result.reason, None, result.detail)
            return
        status = result.status
        if 200 <= status <= 299:
            self._end(status, "", None, "")
            return
        location = result.header("Location")
        if (
            self.is_http
            and location
            and status in {301, 302, 303, 307, 308}
            and self._dispatcher.follow_redirects
            and self._redirects < _REDIRECT_LIMIT
        ):
            successor = _redirected(self._now, status, location)
            if successor is not None:
                self._redirects += 1
                self._now = successor
                self.send(successor)
                return
        self._end(status, "status", result.header("Retry-After"), f"HTTP status code {status}")

    @property
    def _struck_by(self) -> Fault | None:
        """The fault that says what becomes of the request; the others are about when it goes out."""
        fault = self.fault
        return fault if fault is not None and not fault.delivery and not fault.queue else None

    def _observe(self, fault: Fault) -> None:
        """End as the fault says, whatever happened; a timeout waits for the dispatch deadline."""
        detail = f"scripted fault {fault.name!r}"
        if fault.observed == "success":
            self._end(200, "", None, detail)
        elif fault.observed == "error":
            after = None if fault.retry_after_s is None else f"{fault.retry_after_s:g}"
            self._end(fault.http_status or 503, "status", after, detail)
        elif fault.observed == "timeout":
            self._dispatcher.muted(self)
        else:
            self._end(None, "reset", None, detail)

    def deadline_passed(self) -> None:
        """The dispatch deadline is over: drop the request."""
        self.timer = None
        self.abandon()
        self._end(None, "timeout", None, "the dispatch deadline passed")

    def abandon(self) -> None:
        """Drop the request; nothing is recorded."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.handle is not None:
            self.handle.cancel()

    def _end(self, status: int | None, reason: str, retry_after: str | None, detail: str) -> None:
        self.handle = None  # it refers to this flight: payloads must not wait for the garbage collector
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        with self._dispatcher.lock:
            self._dispatcher.ended(self, status=status, reason=reason, retry_after=retry_after, detail=detail)


def _redirected(request: Outgoing, status: int, location: str) -> Outgoing | None:
    """The request that a redirect leads to; None when its Location is no address."""
    try:
        url = urljoin(request.url, location)
        parse_url(url)
    except ValueError:  # BadUrlError is one
        return None
    if status in {307, 308} or request.method == "HEAD":
        return Outgoing(request.method, url, request.headers, request.body, is_http=True)
    kept = [pair for pair in request.headers if pair[0].lower() not in {"content-type", "content-length"}]
    return Outgoing("GET", url, kept, b"", is_http=True)
