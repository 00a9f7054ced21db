"""What the API and the worker do alike with requests: bounded bodies, errors of one form, trace ids, their health."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_MAX_BYTES = 16 * 1024
BODY_WITHIN_S = 3.0
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(?:/.*)?")


class BadRequest(Exception):  # noqa: N818 — it is the HTTP status's name
    """A request that is answered 4xx: `field` is what was wrong, `message` what would be right."""

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.message = message

    def response(self) -> JSONResponse:
        """The answer to it."""
        return JSONResponse({"error": {"field": self.field, "message": self.message}}, self.status)


async def refuse_http(_: Request, error: Exception) -> JSONResponse:
    """The answer to a path or a method that there is not, in the form of every other error."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": {"message": error.detail}}, error.status_code, error.headers)


async def healthz(_: Request) -> JSONResponse:
    """Whoever is answered knows that the process serves."""
    return JSONResponse({"status": "ok"})


async def read_body(request: Request) -> bytes:
    """The body, never more of it than the bound, and never waited for longer. Raises BadRequest 413 or 408.

    Whoever sends half a body and waits would otherwise keep a server from ever shutting down.
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_MAX_BYTES:
                    raise BadRequest(413, "body", f"the body is longer than {BODY_MAX_BYTES} bytes")
    except TimeoutError:
        raise BadRequest(408, "body", f"the body did not arrive within {BODY_WITHIN_S:g} s") from None
    except ClientDisconnect:
        raise BadRequest(400, "body", "the connection was closed in the middle of the body") from None
    return body


def parse_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest 400 or 422."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest(400, "body", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest(422, "body", "the body is not a JSON object")
    return value


def text_field(fields: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    """A required text field of a given form. Raises BadRequest 422."""
    value = fields.get(name)
    if value is None:
        raise BadRequest(422, name, f"{name} is missing")
    if not isinstance(value, str):
        raise BadRequest(422, name, f"{name} is not a string")
    if not pattern.fullmatch(value):
        raise BadRequest(422, name, f"{name} does not match {pattern.pattern}")
    return value


def optional_title(fields: dict[str, Any], max_chars: int) -> str | None:
    """The optional title. Raises BadRequest 422."""
    title = fields.get("title")
    if title is None:
        return None
    if not isinstance(title, str):
        raise BadRequest(422, "title", "title is not a string")
    if len(title) > max_chars:
        raise BadRequest(422, "title", f"title is longer than {max_chars} characters")
    if "\0" in title:  # PostgreSQL stores none, and that would look like a failure that passes
        raise BadRequest(422, "title", "title contains the character NUL")
    try:
        title.encode()
    except UnicodeEncodeError:
        raise BadRequest(422, "title", "title is not valid Unicode text") from None
    return title


def trace_id(request: Request) -> str:
    """The trace this request belongs to, or empty.

    Source: Cloud Run, X-Cloud-Trace-Context; W3C Trace Context.
    """
    match = _TRACE_PARENT.fullmatch(request.headers.get("traceparent", "")) or _CLOUD_TRACE.fullmatch(
        request.headers.get("x-cloud-trace-context", "")
    )
    return match.group(1) if match else ""
