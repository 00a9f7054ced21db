"""The API over REST/JSON, in both dialects: enums as numbers (the Python client) and as names (gcloud)."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from google.protobuf import json_format

from fake_services.cloud_tasks import firebase, protos
from fake_services.cloud_tasks.buffer import buffer_request
from fake_services.cloud_tasks.errors import ApiError, invalid
from fake_services.cloud_tasks.fault_rules import ScriptedError
from fake_services.cloud_tasks.methods import REST_ROUTES
from fake_services.cloud_tasks.rest_json import json_object, message_from_json
from fake_services.cloud_tasks.rpc import Caller, GarbageReply, HangUp, NeverAnswer
from fake_services.http_server import hang_up, send_garbage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from fake_services.cloud_tasks.methods import RestRoute
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.rpc import Method, Rpcs

__all__ = ["RestApi"]

_PATTERNS = {
    "P": r"projects/[^/]+",
    "L": r"projects/[^/]+/locations/[^/:]+",
    "Q": r"projects/[^/]+/locations/[^/]+/queues/[^/:]+",
    "T": r"projects/[^/]+/locations/[^/]+/queues/[^/:]+/tasks/[^/:]+",
}
_BUFFER = re.compile(rf"(?P<parent>{_PATTERNS['Q']})/tasks(?:/(?P<task>[^/:]*))?:buffer")
# Understood by every Google API and of no interest here.
_SYSTEM_PARAMETERS = frozenset(
    {"alt", "$alt", "key", "prettyprint", "$prettyprint", "fields", "$fields", "quotauser", "access_token",
     "oauth_token", "callback", "uploadtype", "upload_protocol", "$.xgafv", "$key", "$userproject", "userip"}
)  # fmt: skip


class RestApi:
    """Answers REST requests from `Rpcs`. Everything runs in one event loop.

    Args:
        rpcs: What the calls do.
        versions: The calls by name, for each version in the path ("v2", "v2beta3").
        functions_url: Where tasks of Firebase's SDKs go that have no URL.
    """

    def __init__(
        self, rpcs: Rpcs, versions: Mapping[str, Mapping[str, Method]], functions_url: str = ""
    ) -> None:
        self._functions_url = functions_url
        self._rpcs = rpcs
        self._versions = versions
        self._routes = [(route, _compiled(route.pattern)) for route in REST_ROUTES]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request; what is not the API's path is answered 404 in the API's form."""
        from aiohttp import web

        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        target = re.sub(r"^https?://[^/]+", "", request.raw_path)  # the absolute form, through a proxy
        raw_path, _, raw_query = target.partition("?")
        numbers = "enum-encoding=int" in unquote(raw_query)
        try:
            method, message = self._request(
                request.method, unquote(raw_path, errors="replace"), raw_query, headers, await request.read()
            )
            caller = Caller("rest", headers)
            reply = await self._rpcs.call(method, message.SerializeToString(), caller)
            text = _to_json(reply, numbers=numbers)
            if method.name == "BufferTask":
                text = json.dumps({"task": json.loads(text)})
            elif method.name == "CreateTask" and firebase.is_firebase(raw_path):
                text = firebase.reply_text(text)
        except ScriptedError as error:
            after = {} if error.retry_after_s is None else {"Retry-After": f"{error.retry_after_s:g}"}
            text, kind = (error.body, "text/html") if error.body else (_error_json(error), "application/json")
            return web.Response(status=error.http_status, text=text, content_type=kind, headers=after)
        except ApiError as error:
            return web.Response(
                status=error.http_status, text=_error_json(error), content_type="application/json"
            )
        except HangUp:
            hang_up(request)
            await asyncio.Event().wait()  # until aiohttp notices and cancels this
        except GarbageReply:
            send_garbage(request)
            await asyncio.Event().wait()  # until aiohttp notices and cancels this
        except NeverAnswer:
            with self._rpcs.hanging:
                await asyncio.Event().wait()  # until the caller gives up
        else:
            return web.Response(text=text, content_type="application/json")
        raise AssertionError("not reached")

    def _request(
        self, verb: str, path: str, raw_query: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[Method, Message]:
        of_firebase = firebase.is_firebase(path)
        version, _, rest = (f"{firebase.VERSION}{path}" if of_firebase else path.lstrip("/")).partition("/")
        methods = self._versions.get(version)
        if methods is None:
            raise _no_route(verb, path)
        buffered = _BUFFER.fullmatch(rest)
        if buffered is not None and verb in {"GET", "POST", "PUT", "PATCH", "DELETE"}:
            inner, more = _unwrapped(body)
            request = buffer_request(buffered["parent"], buffered["task"] or "", verb, headers + more, inner)
            return methods["BufferTask"], _retyped(request, methods["BufferTask"])
        for route, pattern in self._routes:
            match = pattern.fullmatch(rest) if verb == route.verb else None
            if match is not None:
                method = methods[route.method]
                message = _parsed(route, method, match[1], raw_query, body)
                if of_firebase and method.name == "CreateTask":
                    firebase.complete_request(message, self._functions_url)
                return method, message
        raise _no_route(verb, path)


def _compiled(pattern: str) -> re.Pattern[str]:
    found = re.fullmatch(r"\{[a-z_.]+=([PLQT])(/[a-zA-Z*]+(?:/\*)?)?\}(.*)", pattern)
    assert found is not None, pattern
    inner = _PATTERNS[found[1]] + (found[2] or "").replace("*", "[^/:]+")
    return re.compile(f"({inner}){re.escape(found[3])}")


def _parsed(route: RestRoute, method: Method, name: str, raw_query: str, body: bytes) -> Message:
    content: dict[str, Any] = {}
    query = set()
    if route.body:
        given = json_object(body)
        content = given if route.body == "*" else {route.body: given}
    for key, value in parse_qsl(raw_query, keep_blank_values=True):
        if key.lower() in _SYSTEM_PARAMETERS:
            continue
        first = key.split(".")[0]
        if first in content and not isinstance(content[first], str):
            raise invalid(f'Invalid query parameter "{key}": the body has it already.')
        content[key] = value
        query.add(key)
    request = message_from_json(content, method.request_class(), query=frozenset(query))
    _set_path(request, route.pattern[1 : route.pattern.index("=")], name)
    return request


def _set_path(request: Message, field: str, name: str) -> None:
    *outer, last = field.split(".")
    for part in outer:
        request = getattr(request, part)
    setattr(request, last, name)


def _unwrapped(body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """The payload of a BufferTask: what the discovery document wraps, or else the bytes as they are."""
    try:
        content = json.loads(body)
        inner = content["body"]
        if set(content) != {"body"} or not set(inner) <= {"contentType", "data", "extensions"}:
            return body, []
        data = base64.b64decode(inner.get("data", ""), validate=True)
    except (ValueError, TypeError, KeyError, RecursionError):
        return body, []
    kind = inner.get("contentType")
    return data, [("Content-Type", kind)] if isinstance(kind, str) and kind else []


def _retyped(request: Message, method: Method) -> Message:
    if isinstance(request, method.request_class):
        return request
    content = json_format.MessageToDict(request, descriptor_pool=protos.POOL)
    return json_format.ParseDict(content, method.request_class(), descriptor_pool=protos.POOL)


def _to_json(reply: Message, *, numbers: bool) -> str:
    return (
        json_format.MessageToJson(reply, use_integers_for_enums=numbers, descriptor_pool=protos.POOL) + "\n"
    )


def _error_json(error: ApiError) -> str:
    content: dict[str, object] = {"code": error.http_status, "message": error.message, "status": error.code}
    if error.details:
        content["details"] = [
            {"@type": f"type.googleapis.com/{full_name}", **detail} for full_name, detail in error.details
        ]
    return json.dumps({"error": content}, indent=2) + "\n"


def _no_route(verb: str, path: str) -> ApiError:
    return ApiError("NOT_FOUND", f"The requested URL {path} was not found for {verb}.")
