"""One call of the API, whatever the transport: the fault that hits it, its effect, and its journal entry."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.admission import resource_of
from fake_services.cloud_tasks.errors import ApiError
from fake_services.cloud_tasks.fault_rules import ScriptedError, is_for_calls
from fake_services.exchange import LazyFields
from fake_services.hanging import Hanging

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fake_services.cloud_tasks.admission import Admission
    from fake_services.cloud_tasks.dispatcher import Dispatcher
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State
    from fake_services.exchange import Journal
    from fake_services.faults import Fault, FaultBook

__all__ = ["Caller", "GarbageReply", "HangUp", "Method", "NeverAnswer", "Rpcs", "request_as_json"]

_BEFORE_REPLY_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Method:
    """A call of the API: its name, its request's class and what it does."""

    name: str
    request_class: Any
    effect: Callable[[Message], Message]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls and how.

    Attributes:
        transport: "grpc" or "rest".
        metadata: gRPC metadata or HTTP headers.
        waited_s: How long a fault has held the call back before its effect; 0 for none.
    """

    transport: str
    metadata: Sequence[tuple[str, str | bytes]]
    waited_s: float = 0.0


class NeverAnswer(Exception):  # noqa: N818  # an instruction to the transport, not an error
    """The transport must not answer until the caller gives up."""


class HangUp(Exception):  # noqa: N818  # an instruction to the transport, not an error
    """The transport must reset the caller's connection."""


class GarbageReply(Exception):  # noqa: N818  # an instruction to the transport, not an error
    """The transport must answer with bytes that cannot be read."""


class Rpcs:
    """Runs calls against a `State`: `execute` in any thread, `call` in the event loop.

    Args:
        state: For what a partly applied call leaves behind.
        dispatcher: For deliveries that overtake the reply.
        admission: Refuses callers.
        journal: Gets one "rpc" entry for each call.
        faults: Scripted misbehaviour.
    """

    def __init__(
        self,
        *,
        state: State,
        dispatcher: Dispatcher,
        admission: Admission,
        journal: Journal,
        faults: FaultBook,
    ) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._admission = admission
        self._journal = journal
        self._faults = faults
        #: Calls that a fault holds back before their effect.
        self.held_back = 0
        #: Callers that a fault leaves without an answer and that have not given up yet.
        self.hanging = Hanging()
        self._late: set[asyncio.Task[Message]] = set()
        #: Calls by method and code.
        self.counts: dict[tuple[str, str], int] = {}
        #: When the last call came, by the event loop's clock.
        self.last_call_s = 0.0

    @property
    def faulty(self) -> bool:
        """Whether any fault may still fire."""
        return self._faults.armed

    def execute(self, method: Method, raw: bytes, caller: Caller) -> Message:
        """Apply a call that no fault hits, record it and return its reply.

        Args:
            method: What is called.
            raw: The serialized request.
            caller: For the journal.

        Raises:
            ApiError: The API refuses it.
        """
        # One lock for the effect and its entry: the delivery that follows must come after it in the journal.
        with self._dispatcher.lock:
            try:
                reply = self._effect(method, raw, caller)
            except ApiError as error:
                self._record(method, raw, caller, error.code, error.message, applied=False, observed="error")
                raise
            task = _task_of(method, raw, reply)
            self._record(method, raw, caller, "OK", "", applied=True, observed="reply", task=task)
        return reply

    def _effect(self, method: Method, raw: bytes, caller: Caller, *, half: bool = False) -> Message:
        request = _parsed(method, raw)
        if self._admission.needed:
            self._admission.check_caller(caller.metadata)
            self._admission.check(method.name, request)
        if half:
            for field in ("requests", "names"):
                if hasattr(request, field):
                    del getattr(request, field)[len(getattr(request, field)) // 2 :]
        return method.effect(request)

    async def call(self, method: Method, raw: bytes, caller: Caller) -> Message:
        """As `execute`, but let the next matching fault misbehave.

        Raises:
            ApiError: Refused by the API or by a fault.
            NeverAnswer: A fault says that the caller times out.
            HangUp: A fault says that the connection is reset.
            GarbageReply: A fault says that the reply is unreadable.
        """
        fault = self._faults.take(method.name, _subject(method, raw), only=is_for_calls)
        if fault is None:
            return self.execute(method, raw, caller)
        if fault.delay_s or fault.late:
            # Shielded: a caller that gives up does not take back what a fault says is applied.
            given_up = asyncio.Event()
            late = asyncio.get_running_loop().create_task(
                self._apply_late(method, raw, caller, fault, given_up)
            )
            self._late.add(late)
            late.add_done_callback(self._late_is_over)
            try:
                reply = await asyncio.shield(late)
            except asyncio.CancelledError:
                given_up.set()
                raise
        else:
            reply = self._apply(method, raw, caller, fault)
        if fault.delivery == "before_reply":
            await self._deliver_first(reply)
        if fault.observed == "timeout":
            raise NeverAnswer
        if fault.observed == "reset":
            raise HangUp
        if fault.observed == "garbage":
            raise GarbageReply
        if fault.observed == "error":
            raise ScriptedError(fault)
        return reply

    async def _apply_late(
        self, method: Method, raw: bytes, caller: Caller, fault: Fault, given_up: asyncio.Event
    ) -> Message:
        came_s = time.monotonic()
        with self.hanging if fault.late else contextlib.nullcontext():
            if fault.late:
                await given_up.wait()
            self.held_back += 1  # before it stops hanging: it is always one of the two
        try:
            await asyncio.sleep(fault.delay_s)
            held_back = replace(caller, waited_s=time.monotonic() - came_s)
            return self._apply(method, raw, held_back, fault)
        finally:
            self.held_back -= 1

    def _late_is_over(self, late: asyncio.Task[Message]) -> None:
        self._late.discard(late)
        if not late.cancelled():
            late.exception()  # is the caller's, if there still is one

    def stop(self) -> None:
        """Forget the calls that a fault holds back."""
        for late in list(self._late):
            late.cancel()

    def _apply(self, method: Method, raw: bytes, caller: Caller, fault: Fault) -> Message:
        with self._dispatcher.lock:
            reply = self._apply_locked(method, raw, caller, fault)
            if fault.queue:
                self._state.fault_on_queue(resource_of(_parsed(method, raw)), fault.queue)
        return reply

    def _apply_locked(self, method: Method, raw: bytes, caller: Caller, fault: Fault) -> Message:
        observed = {"timeout": "hang", "success": "reply"}.get(fault.observed, fault.observed)
        error = ScriptedError(fault)
        code, message = ("OK", "") if fault.observed == "success" else (error.code, error.message)
        if fault.observed in {"timeout", "reset", "garbage"}:
            code = {"timeout": "DEADLINE_EXCEEDED", "reset": "UNAVAILABLE", "garbage": "INTERNAL"}[
                fault.observed
            ]
        reply: Message = None
        if fault.applied == "no":
            if fault.observed == "success":
                reply = _empty_reply(method, raw)
        else:
            try:
                reply = self._effect(method, raw, caller, half=fault.applied == "partly")
            except ApiError as refused:
                self._record(
                    method,
                    raw,
                    caller,
                    refused.code,
                    refused.message,
                    applied=False,
                    observed="error",
                    fault=fault,
                )
                raise
            if fault.applied == "partly":
                self._state.lose_half(method.name, reply)
        self._record(
            method,
            raw,
            caller,
            code,
            message,
            applied=fault.applied != "no",
            observed=observed,
            task=_task_of(method, raw, reply),
            fault=fault,
        )
        return reply

    async def _deliver_first(self, reply: Message) -> None:
        task = self._state.find_task(getattr(reply, "name", ""))
        if task is None:
            return
        self._dispatcher.look_now(task.queue)
        deadline = asyncio.get_running_loop().time() + _BEFORE_REPLY_LIMIT_S
        # Polled, because this is too rare to wire an event through every attempt.
        while not (task.gone or task.last_response_us) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def _record(
        self,
        method: Method,
        raw: bytes,
        caller: Caller,
        code: str,
        message: str,
        *,
        applied: bool,
        observed: str,
        task: str | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.last_call_s = time.monotonic()  # which is the event loop's clock too
        self.counts[method.name, code] = self.counts.get((method.name, code), 0) + 1
        shown_fault = fault.name if fault is not None else None
        self._journal.record_fields(
            "rpc",
            LazyFields(_fields_of, method, raw, caller, code, message, applied, observed, task, shown_fault),
        )


def _fields_of(  # noqa: PLR0917  # LazyFields passes them on by position
    method: Method,
    raw: bytes,
    caller: Caller,
    code: str,
    message: str,
    applied: object,
    observed: str,
    task: str | None,
    fault: str | None,
) -> dict[str, object]:
    """The fields of a call's journal entry."""
    return {
        "method": method.name,
        "transport": caller.transport,
        "request": request_as_json(method, raw),
        "metadata": _readable(caller.metadata),
        "code": code,
        "message": message,
        "applied": applied,
        "observed": observed,
        "task": task,
        "fault": fault,
        **({"waited_s": caller.waited_s} if caller.waited_s else {}),
    }


def _parsed(method: Method, raw: bytes) -> Message:
    try:
        return method.request_class.FromString(raw)
    except Exception as error:  # protobuf's DecodeError; UnicodeDecodeError in older versions
        raise ApiError("INVALID_ARGUMENT", "The request message cannot be decoded.") from error


def _subject(method: Method, raw: bytes) -> str:
    """What the call is about: every resource name that the request gives."""
    try:
        request = method.request_class.FromString(raw)
    except Exception:  # noqa: BLE001  # a request that cannot be read is about nothing
        return ""
    names = [getattr(request, field, "") for field in ("parent", "name", "resource")]
    names += [getattr(request, part).name for part in ("task", "queue") if hasattr(request, part)]
    return " ".join(name for name in names if isinstance(name, str) and name)


def _task_of(method: Method, raw: bytes, reply: Message) -> str | None:
    if method.name == "CreateTask" and reply is not None:
        return str(reply.name)
    if method.name in {"GetTask", "DeleteTask", "RunTask"}:
        return str(method.request_class.FromString(raw).name)
    return None


def _empty_reply(method: Method, raw: bytes) -> Message:
    """A reply that claims success: what was sent, as if it had been stored."""
    request = method.request_class.FromString(raw)
    for part in ("task", "queue"):
        if hasattr(request, part):
            reply = getattr(request, part)
            if part == "task" and not reply.name:
                reply.name = f"{request.parent}/tasks/00000000000000000000"
            return reply
    return protos.Empty()


def _readable(metadata: Sequence[tuple[str, str | bytes]]) -> dict[str, str]:
    """Metadata as text, without the credentials."""
    shown: dict[str, str] = {}
    for key, value in metadata:
        text = value if isinstance(value, str) else base64.b64encode(value).decode()
        if key.lower() in {
            "authorization",
            "x-goog-iam-authorization-token",
            "proxy-authorization",
            "cookie",
        }:
            text = text.partition(" ")[0] + " (hidden)"
        shown[key] = f"{shown[key]}, {text}" if key in shown else text
    return shown


def request_as_json(method: Method, raw: bytes) -> dict[str, object]:
    """The request in its JSON form; bodies as `body_text`, or as `body_base64` when they are not UTF-8."""
    try:
        request = method.request_class.FromString(raw)
        found: dict[str, object] = json_format.MessageToDict(request, descriptor_pool=protos.POOL)
    except Exception as error:  # noqa: BLE001  # whatever cannot be shown as JSON is shown as bytes
        return {"undecodable": base64.b64encode(raw).decode(), "error": str(error)}
    _show_bodies(found)
    return found


def _show_bodies(value: object) -> None:
    if isinstance(value, list):
        for each in value:
            _show_bodies(each)
    elif isinstance(value, dict):
        for kind in ("httpRequest", "appEngineHttpRequest"):
            target = value.get(kind)
            if isinstance(target, dict) and "body" in target:
                body = base64.b64decode(target.pop("body"))
                try:
                    target["body_text"] = body.decode()
                except UnicodeDecodeError:
                    target["body_base64"] = base64.b64encode(body).decode()
        for each in value.values():
            _show_bodies(each)
