"""Runs fakes in one daemon thread with one event loop, with bounded start and stop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

__all__ = ["Host", "Service"]

T = TypeVar("T")


class Service(Protocol):
    """What a host can run. All three are called in the host's event loop, `attach` first."""

    def attach(self, host: Host) -> None:
        """Remember the host, through which calls from other threads reach the loop."""

    async def start(self) -> None:
        """Listen. When it raises, nothing is left behind."""

    async def stop(self) -> None:
        """Stop listening and drop every connection. Harmless when not started."""


S = TypeVar("S", bound=Service)


class Host:
    """One thread, one loop, any number of fakes. All methods may be called from any thread.

    Args:
        limit_s: How long a start or stop may take before it is an error: a fake that is stuck blocks nobody for ever.
            Generous, since a first start imports much, and took 10 s on a machine with ten times its work.
    """

    def __init__(self, *, limit_s: float = 30.0) -> None:
        self._limit_s = limit_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._services: list[Service] = []

    def __enter__(self) -> Self:
        self._ensure_running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ensure_running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            ready = threading.Event()
            loop = asyncio.new_event_loop()

            def run() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(ready.set)
                loop.run_forever()

            self._thread = threading.Thread(target=run, name="fake-services", daemon=True)
            self._thread.start()
            ready.wait(self._limit_s)
            self._loop = loop
        return self._loop

    def start(self, service: S) -> S:
        """Start a fake and return it, ready to serve.

        Raises:
            OSError: Its port is in use.
            TimeoutError: It did not start within the limit.
        """
        self._ensure_running()
        service.attach(self)
        self.run(service.start())
        self._services.append(service)
        return service

    def stop(self, service: Service) -> None:
        """Stop one fake; harmless when it is stopped already."""
        if service in self._services:
            self._services.remove(service)
            self.run(service.stop())

    def run(self, work: Coroutine[Any, Any, T], *, limit_s: float | None = None) -> T:
        """Run a coroutine in the loop and wait for it.

        Args:
            work: What to run.
            limit_s: How long it may take; None for the host's limit.

        Raises:
            TimeoutError: It did not end within the limit (it is cancelled).
        """
        limit_s = self._limit_s if limit_s is None else limit_s
        if self._loop is None:
            work.close()
            raise RuntimeError("the host is not running: use it as a context manager")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f"{work!r} did not end within {limit_s} s") from None

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop and wait for what it returns (or raises)."""
        if self._loop is None:
            raise RuntimeError("the host is not running: use it as a context manager")
        if threading.current_thread() is self._thread:
            return function()  # a journal's subscriber, which runs in the loop, may ask too
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                result.set_result(function())
            except BaseException as error:  # noqa: BLE001  # handed to the caller, whatever it is
                result.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return result.result(self._limit_s)

    def close(self) -> None:
        """Stop every fake, newest first, and end the thread. Harmless when closed already."""
        if self._loop is None:
            return
        loop, thread = self._loop, self._thread
        try:
            for service in reversed(list(self._services)):
                self.stop(service)
            self.run(_finish_tasks())
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            if thread is not None:
                thread.join(self._limit_s)
            if not loop.is_running():
                loop.close()


async def _finish_tasks() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
