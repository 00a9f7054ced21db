"""Reads a JSON request strictly, and says what is wrong as Google's JSON front end does.

protobuf's own reader is more lenient where it matters: it drops what is not base64 from a body, so that a body sent
as plain text would become other bytes instead of an error. The wording is that of Google's APIs in general; for
Cloud Tasks in particular it was not captured.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from google.protobuf import duration_pb2, json_format, timestamp_pb2

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks.protos import Message

__all__ = ["json_object", "message_from_json", "wrong_json"]

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
# Of google.protobuf.FieldDescriptorProto.Type, as the front end shows it.
_TYPE_NAMES = {
    1: "TYPE_DOUBLE", 2: "TYPE_FLOAT", 3: "TYPE_INT64", 4: "TYPE_UINT64", 5: "TYPE_INT32", 8: "TYPE_BOOL",
    9: "TYPE_STRING", 12: "TYPE_BYTES", 13: "TYPE_UINT32",
}  # fmt: skip
_TIME = "google.protobuf.Timestamp"
_DURATION = "google.protobuf.Duration"
_MASK = "google.protobuf.FieldMask"


def json_object(body: bytes) -> dict[str, Any]:
    """The body's JSON object; empty for an empty body.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not body.strip():
        return {}
    try:
        content = json.loads(body)
        # An escaped half of a surrogate pair is JSON and not text: as a key it makes protobuf's own parser raise
        # SystemError, which no caller can tell from a broken interpreter.
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise wrong_json(f"{error}") from error
    if not isinstance(content, dict):
        raise wrong_json('Unknown name "": Root element must be a message.')
    return content


def message_from_json(content: dict[str, Any], message: Message, *, query: frozenset[str]) -> Message:
    """Fill `message` from JSON values.

    Args:
        content: The request's fields.
        message: Changed and returned.
        query: The fields that came as query parameters.

    Raises:
        ApiError: INVALID_ARGUMENT; the message names the field, as do its google.rpc.BadRequest details.
    """
    try:
        _Check(query).fields(content, message.DESCRIPTOR, "")
        json_format.ParseDict(content, message, descriptor_pool=protos.POOL)
        message.SerializeToString()
    except (
        json_format.ParseError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise wrong_json(f"{error}") from error
    return message


def wrong_json(message: str, field: str = "") -> ApiError:
    """The error for JSON that is none, or that names a field that there is not."""
    return _wrong(f"Invalid JSON payload received. {message}", field)


def _wrong(message: str, field: str) -> ApiError:
    violation = {"description": message, **({"field": field} if field else {})}
    return ApiError(
        "INVALID_ARGUMENT", message, [("google.rpc.BadRequest", {"fieldViolations": [violation]})]
    )


class _Check:
    """Walks through JSON beside the descriptor of the message that it is to become."""

    def __init__(self, query: frozenset[str]) -> None:
        self._query = query

    def fields(self, content: dict[str, Any], descriptor: Any, path: str) -> None:  # descriptors are Any
        chosen: dict[str, str] = {}
        for key, value in content.items():
            field = _field(descriptor, key)
            if field is None:
                raise self._unknown(key, path)
            if value is None:
                continue
            oneof = field.containing_oneof
            if oneof is not None and oneof.name in chosen:
                raise _wrong(
                    f"Invalid value at '{path}' (oneof), oneof field '{oneof.name}' is already set. "
                    f"Cannot set '{field.json_name}'",
                    path,
                )
            if oneof is not None:
                chosen[oneof.name] = key
            self._field(content, key, field, f"{path}.{field.name}" if path else field.name)

    def _unknown(self, key: str, path: str) -> ApiError:
        if not path and key in self._query:
            return wrong_json(
                f'Unknown name "{key}": Cannot bind query parameter. '
                f"Field '{key}' could not be found in request message."
            )
        where = f" at '{path}'" if path else ""
        return wrong_json(f'Unknown name "{key}"{where}: Cannot find field.', path)

    def _field(self, content: dict[str, Any], key: str, field: Any, path: str) -> None:
        value, message = content[key], field.message_type
        if message is not None and message.GetOptions().map_entry:
            if not isinstance(value, dict):
                raise _bad(path, f"type.googleapis.com/{message.full_name}", value)
            for name, each in value.items():
                self._value(each, message.fields_by_name["value"], f"{path}[{name}]", field.json_name)
        elif field.is_repeated:
            if not isinstance(value, list):
                raise _bad(path, _type_of(field), value)
            for number, each in enumerate(value):
                self._value(each, field, f"{path}[{number}]", field.json_name)
        elif message is not None and message.full_name == _MASK and isinstance(value, str):
            content[key] = re.sub(
                r"_([a-z])", lambda match: match[1].upper(), value
            )  # both ways are understood
        else:
            self._value(value, field, path, field.json_name)

    def _value(self, value: Any, field: Any, path: str, json_name: str) -> None:
        message = field.message_type
        if message is None:
            _scalar(value, field, path)
        elif message.full_name in {_TIME, _DURATION}:
            _well_known(value, message.full_name, path, json_name)
        elif message.full_name == _MASK or not isinstance(value, dict):
            raise _bad(path, _type_of(field), value)
        else:
            self.fields(value, message, path)


def _field(descriptor: Any, key: str) -> Any:
    return next((field for field in descriptor.fields if key in {field.json_name, field.name}), None)


def _type_of(field: Any) -> str:
    named = field.message_type or field.enum_type
    return f"type.googleapis.com/{named.full_name}" if named is not None else _TYPE_NAMES[field.type]


def _bad(path: str, kind: str, value: object) -> ApiError:
    return _wrong(f"Invalid value at '{path}' ({kind}), {json.dumps(value)}", path)


def _scalar(value: Any, field: Any, path: str) -> None:
    if field.enum_type is not None:
        good = _is_enum(value, field.enum_type)
    elif field.type == field.TYPE_BYTES:
        if isinstance(value, str) and not _is_base64(value):
            raise _wrong(
                f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{value}\"", path
            )
        good = isinstance(value, str)
    else:
        fits = _FITS.get(field.type)
        good = fits is None or fits(value)
    if not good:
        raise _bad(path, _type_of(field), value)


def _is_enum(value: object, enum: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return value in enum.values_by_name or _is_whole(value)


def _is_base64(text: str) -> bool:
    if _BASE64.fullmatch(text) is None or len(text.rstrip("=")) % 4 == 1:
        return False
    try:
        base64.urlsafe_b64decode(text.rstrip("=") + "===")
    except (binascii.Error, ValueError):
        return False
    return True


def _is_whole(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return re.fullmatch(r"-?[0-9]{1,19}", value) is not None
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[int, Callable[[object], bool]] = {
    1: _is_number,
    2: _is_number,
    3: _is_whole,
    4: _is_whole,
    5: _is_whole,
    8: lambda value: isinstance(value, bool) or value in {"true", "false"},
    9: lambda value: isinstance(value, str),
    13: _is_whole,
}


def _well_known(value: object, full_name: str, path: str, json_name: str) -> None:
    kind = f"type.googleapis.com/{full_name}"
    if not isinstance(value, str):
        raise _bad(path, kind, value)
    try:
        message: Message = timestamp_pb2.Timestamp() if full_name == _TIME else duration_pb2.Duration()
        message.FromJsonString(value)
    except (ValueError, OverflowError) as error:
        why = (
            "Invalid time format: Failed to parse input"
            if full_name == _TIME
            else "Illegal duration format; duration must end with 's'"
            if not value.endswith("s")
            else f"Illegal duration: {value}"
        )
        raise _wrong(f"Invalid value at '{path}' ({kind}), Field '{json_name}', {why}", path) from error
