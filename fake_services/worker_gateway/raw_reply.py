"""The bytes of an HTTP/1.1 reply, for sending them in other ways than an HTTP server does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["raw_reply"]

_ASKED = b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n"


def raw_reply(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> tuple[bytes, bytes]:
    """A whole reply, and the same one up to the middle of its body.

    The head announces the whole body in both.
    """
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(_ASKED)
    while not isinstance(connection.next_event(), h11.EndOfMessage):
        pass
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    head = connection.send(
        h11.Response(status_code=status, headers=[*kept, ("Content-Length", str(len(body)))])
    )
    assert head is not None, "a response always has a head"
    return head + body, head + body[: len(body) // 2]
