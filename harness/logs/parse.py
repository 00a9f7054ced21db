"""Understands log lines: logfmt events, JSON lines, the seed's plain lines and banner; drops no line.

A line is never rejected: what is not an event is ``plain``, and what looks like an event and cannot be read is
``unparsed``, which a run reports and never passes over.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BANNER_RULE = "=" * 80
BANNER_TITLE = "DEV MODE WORKER CHECK:"

_EVENT_START = re.compile(r"(?:^|(?<=[\s:]))event=")
_NAME = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_PAIR = re.compile(
    r"""
    \s*(?P<key>[A-Za-z_][A-Za-z0-9_.\-]*)=
    (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^\s"=]*) )
    (?=\s|$)
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_SURROGATE = re.compile("[\ud800-\udfff]")

# The seed's lines for development, each with the event name under which oracles find it.
_SEED_LINES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"DEV MODE: Sending (?P<path>/\S*) to worker server at (?P<url>\S.*)$"),
        "dev.sending_to_worker",
    ),
    (re.compile(r"DEV MODE: Worker config invalid or not a worker task$"), "dev.worker_not_used"),
    (re.compile(r"DEV MODE assemble start for episode (?P<episode_id>\S+)$"), "dev.local_start"),
)


class Form(enum.StrEnum):
    """How a line was understood."""

    LOGFMT = "logfmt"
    JSON = "json"
    SEED = "seed"
    BANNER = "banner"
    PLAIN = "plain"
    UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        raw: the line as written, without its end.
        form: how it was understood.
        event: the event's name, or "".
        fields: the event's fields, as text.
        problem: for ``unparsed``, what is wrong with it.
    """

    raw: str
    form: Form
    event: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class LogfmtError(ValueError):
    """A line promises an event and cannot be read; the message says where."""


def parse_logfmt(text: str) -> tuple[str, dict[str, str]]:
    """Read ``event=NAME key=value key="quoted value"``.

    Quoted values know the escapes of JSON; an unquoted value has no space, quote or equals sign.

    Returns:
        The event's name and its other fields in order.

    Raises:
        LogfmtError: a part is not ``key=value``, a key comes twice, or the name is not an event name.
    """
    position, fields = 0, {}
    end = len(text.rstrip())
    while position < end:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise LogfmtError(
                f"column {position + 1}: expected key=value, found {text[position : position + 30]!r}"
            )
        key = pair["key"]
        if key in fields:
            raise LogfmtError(f"column {position + 1}: {key!r} comes twice")
        fields[key] = pair["bare"] if pair["quoted"] is None else _unescape(pair["quoted"])
        position = pair.end()
    name = fields.pop("event", "")
    if not _NAME.fullmatch(name):
        raise LogfmtError(f"{name!r} is not an event name")
    return name, fields


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "ux" and len(code) > 1:
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    return _whole(_ESCAPE.sub(one, text))


def _whole(text: str) -> str:
    """The text with escaped halves of a character joined; a half without its other becomes U+FFFD.

    JSON writes a character beyond U+FFFF as two halves. A half by itself is no text: no file could hold it.
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def parse_line(raw: str) -> LogLine:
    """Understand one line by itself; a banner's inner lines are recognised by ``BannerReader``."""
    text = raw.strip()
    if text.startswith("{"):
        return _parse_json(raw, text)
    start = _EVENT_START.search(raw)
    if start is None:  # first: a value that ends like a seed line must not hide the event that carries it
        return _parse_seed_line(raw, text)
    try:
        event, fields = parse_logfmt(raw[start.start() :])
    except LogfmtError as problem:
        return LogLine(raw, Form.UNPARSED, problem=str(problem))
    return LogLine(raw, Form.LOGFMT, event, fields)


def _parse_seed_line(raw: str, text: str) -> LogLine:
    for pattern, event in _SEED_LINES:
        match = pattern.search(text)
        if match:
            return LogLine(raw, Form.SEED, event, match.groupdict())
    return LogLine(raw, Form.PLAIN)


def _parse_json(raw: str, text: str) -> LogLine:
    try:
        document: dict[str, Any] = json.loads(text)  # it starts with a brace: nothing else than an object
    except (ValueError, RecursionError) as problem:  # the latter for some thousand brackets in a row
        return LogLine(raw, Form.UNPARSED, problem=f"starts like JSON: {problem}")
    message = document.get("message", "")
    event = document.get("event") or ""
    if event and not (isinstance(event, str) and _NAME.fullmatch(event)):
        return LogLine(raw, Form.UNPARSED, problem=f"{event!r} is not an event name")
    fields = {
        _whole(key): _as_text(value) for key, value in document.items() if key not in {"message", "event"}
    }
    nested = not isinstance(message, str) or message.lstrip().startswith("{")
    inner = None if nested else parse_line(_whole(message))
    if inner is not None and inner.form is Form.UNPARSED:
        return LogLine(raw, Form.UNPARSED, problem=f"message: {inner.problem}")
    if inner is not None and inner.event:
        if event and event != inner.event:
            return LogLine(
                raw, Form.UNPARSED, problem=f"event {event!r} but the message says {inner.event!r}"
            )
        event, fields = inner.event, {**fields, **inner.fields}
    return LogLine(raw, Form.JSON, event, fields)


def _as_text(value: Any) -> str:
    return _whole(value) if isinstance(value, str) else json.dumps(value)


class BannerReader:
    """Marks the lines of the seed's banner in one stream; every other line goes through ``parse_line``."""

    def __init__(self) -> None:
        self._inside = False
        self._after_rule = False

    def read(self, raw: str) -> LogLine:
        """Understand the next line of the stream."""
        if raw == BANNER_RULE:
            self._after_rule, self._inside = not self._inside, False
            return LogLine(raw, Form.BANNER)
        if self._after_rule and raw == BANNER_TITLE:
            self._inside, self._after_rule = True, False
            return LogLine(raw, Form.BANNER, "dev.worker_check")
        self._after_rule = False
        if self._inside and raw.startswith("  "):
            return LogLine(raw, Form.BANNER)
        self._inside = False
        return parse_line(raw)
