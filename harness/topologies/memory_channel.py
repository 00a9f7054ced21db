"""A gRPC channel that goes nowhere: calls are answered in memory, by a function.

Everything above the channel is the real client's: its methods, its time-outs and retries, serialisation, and the
translation of errors. Only what gRPC's core would do is done here: bytes in, bytes or an error out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self

import grpc

if TYPE_CHECKING:  # where they are generic, and at run time they are not
    _Future = grpc.Future[Any]
    _UnaryUnary = grpc.UnaryUnaryMultiCallable[Any, Any]
else:
    _Future, _UnaryUnary = grpc.Future, grpc.UnaryUnaryMultiCallable

Answer = Callable[[str, bytes, float | None], bytes]
"""Answers a call: the method's path, the request's bytes, the time-out in seconds. Raises ``CallFailed``."""

_GARBAGE = "Exception deserializing response!"  # Source: grpc, ``_channel.py``, on a response it cannot read


class CallFailed(grpc.RpcError, grpc.Call, _Future):
    """What a call ends with that is not answered: an error, the ended call and its future in one, as gRPC's own."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """The text that came with it."""
        return self._details

    def initial_metadata(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def trailing_metadata(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def is_active(self) -> bool:
        """It has ended."""
        return False

    def time_remaining(self) -> float:
        """None: it has ended."""
        return 0.0

    def cancel(self) -> bool:
        """Too late."""
        return False

    def cancelled(self) -> bool:
        """Nobody cancelled it."""
        return False

    def running(self) -> bool:
        """It has ended."""
        return False

    def done(self) -> bool:
        """It has ended."""
        return True

    def result(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002 - gRPC's signature
        """Raises itself: that is its result."""
        raise self

    def exception(self, timeout: float | None = None) -> CallFailed:  # noqa: ARG002 - gRPC's signature
        """Itself."""
        return self

    def traceback(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - gRPC's signature
        """Where it was raised."""
        return self.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """It is done."""
        fn(self)

    def add_callback(self, callback: Callable[[], None]) -> bool:  # noqa: ARG002 - gRPC's signature
        """Too late."""
        return False


class MemoryChannel(grpc.Channel):
    """The channel."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> Any:
        """A callable for a method."""
        return _Method(self._answer, method, request_serializer, response_deserializer)

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        """Not there: the API of Cloud Tasks streams nothing."""
        _streams()

    def stream_unary(self, *_: Any, **__: Any) -> Any:
        """Not there."""
        _streams()

    def stream_stream(self, *_: Any, **__: Any) -> Any:
        """Not there."""
        _streams()

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:  # noqa: FBT001, FBT002 - gRPC's
        """Nothing ever changes."""

    def unsubscribe(self, callback: Any) -> None:
        """Nothing ever changes."""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Method(_UnaryUnary):
    def __init__(self, answer: Answer, path: str, serialize: Any, deserialize: Any) -> None:
        self._answer = answer
        self._path = path
        self._serialize = serialize
        self._deserialize = deserialize

    def __call__(self, request: Any, timeout: float | None = None, *_: Any, **__: Any) -> Any:
        data = self._answer(self._path, self._serialize(request), timeout)
        try:
            return self._deserialize(data)
        except Exception:  # noqa: BLE001 - as gRPC does: whatever it is, the caller gets a status
            raise CallFailed(grpc.StatusCode.INTERNAL, _GARBAGE) from None

    def with_call(self, request: Any, timeout: float | None = None, *_: Any, **__: Any) -> tuple[Any, Any]:
        """The response; of the call, which has ended well, there is nothing to say."""
        return self(request, timeout), None

    def future(self, *_: Any, **__: Any) -> Any:
        """Not there: the client's methods wait."""
        raise NotImplementedError("the client's methods wait for their answer")


def _streams() -> NoReturn:
    raise NotImplementedError("the API of Cloud Tasks streams nothing")
