r"""How a log line is written: logfmt for a console, one JSON object for Cloud Run, secrets masked in both.

Every line leaves this process through `LogSink.write`, in one write and with exactly one line break, so
that lines of several threads never mix. Values that could be mistaken for structure are JSON-quoted, and
`=` inside them becomes `\u003d`: a search for `event=…` finds events and never text that somebody put into
a request.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from html.entities import codepoint2name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BARE = re.compile(r"[A-Za-z0-9_./:@+,;%*-]+")
_MASK = "***"
_BACKSLASH = r"\\"
_STANDARD = str.maketrans("-_", "+/")  # base64's alphabet for URLs to the standard one
_BASE64_MIN_CHARS = 8  # what is left of a very short secret would be found in any base64
_VALUE_MAX_CHARS = 2000  # a remote error message can be arbitrarily long; a log line must not be


def logfmt(fields: Mapping[str, object]) -> str:
    """Write `key=value …`; a value is bare if plainly one word, else a JSON string without any `=`."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)[:_VALUE_MAX_CHARS]
    if _BARE.fullmatch(text):
        return text
    return json.dumps(text).replace("=", "\\u003d")


class Redactor:
    """Replaces known secrets wherever they appear in a text, also as other programs would repeat them.

    Few lines hold a secret, and many processes never write one that does. So a line is first looked through for what
    such a line must have, and the pattern, which takes as long to compile as a small module to import, waits for it.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first: a secret must not be half-masked because it begins with a shorter one.
        self._known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._plain = [*self._known, *(shape for secret in self._known for shape in _in_base64(secret))]
        self._escapes = "%\\&" + ("+" if any(" " in secret for secret in self._known) else "")

    def __call__(self, text: str) -> str:
        """The text with every shape of every secret masked."""
        return self._pattern.sub(_MASK, text) if self._may_hold_one(text) else text

    def _may_hold_one(self, text: str) -> bool:
        """Whether anything in the text is escaped, or a secret stands in it with nothing escaped."""
        if not self._known:
            return False
        if any(mark in text for mark in self._escapes):
            return True
        standard = text.translate(_STANDARD)
        return any(shape in text or shape in standard for shape in self._plain)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        in_base64 = (_any_alphabet(each) for secret in self._known for each in _in_base64(secret))
        return re.compile("|".join([*map(_spelt, self._known), *in_base64]))


@lru_cache(maxsize=64)
def _redactor(secrets: frozenset[str]) -> Redactor:
    """The one for these secrets; whoever has a sink for each of thousands of jobs has few secrets."""
    return Redactor(secrets)


def _spelt(secret: str) -> str:
    """A pattern for the secret; each character may be escaped, as libraries differ in which they escape."""
    # The plain character comes last: an escaped one may begin with it.
    return "".join(f"(?:(?i:{'|'.join(_escaped(char))})|{re.escape(char)})" for char in secret)


def _escaped(char: str) -> Iterable[str]:
    """Patterns for one character as URLs, forms, JSON, Python and HTML write it."""
    code, in_bytes = ord(char), char.encode()
    yield "".join(f"%{byte:02x}" for byte in in_bytes)
    if char == " ":
        yield r"\+"
    yield "".join(f"{_BACKSLASH}+u{unit}" for unit in char.encode("utf-16-be").hex(" ", 2).split())
    yield "".join(f"{_BACKSLASH}+x{byte:02x}" for byte in in_bytes)
    if not char.isascii():
        yield f"{_BACKSLASH}+(?:x{code:02x}|U{code:08x})"
    if char in "\"\\/'":
        yield f"{_BACKSLASH}+{re.escape(char)}"
    name = "apos" if char == "'" else codepoint2name.get(code)
    yield f"&(?:#0*{code}|#x0*{code:x}{f'|{name}' if name else ''});"


def _in_base64(secret: str) -> Iterable[str]:
    """The secret inside something longer in base64, standard alphabet: it may begin at each of three positions.

    What stands around it decides the characters at both ends, so they are left out, unless the secret stands alone.
    """
    raw = secret.encode()
    alone = base64.b64encode(raw).decode().rstrip("=")
    inside = (
        base64.b64encode(b"\0" * shift + raw).decode()[skip : (shift + len(raw)) // 3 * 4]
        for shift, skip in enumerate((0, 2, 3))
    )
    return [encoded for encoded in (alone, *inside) if len(encoded) >= _BASE64_MIN_CHARS]


def _any_alphabet(encoded: str) -> str:
    """A pattern for base64 that stands here in the standard alphabet, in that or the one for URLs."""
    return re.escape(encoded).replace("/", "[/_]").replace(re.escape("+"), "[+-]") + "=*"


class LogSink:
    """Where lines go: standard output, as text or, under Cloud Run, as one JSON object per line.

    Source of the JSON fields: Cloud Logging, "Structured logging", special fields of a JSON payload.
    """

    def __init__(self, *, json_lines: bool = False, secrets: Iterable[str] = (), project: str = "") -> None:
        self.json_lines = json_lines
        self.redact = _redactor(frozenset(secrets))
        self._project = project
        self._lock = threading.Lock()

    def line(
        self, severity: str, message: str, fields: Mapping[str, object] | None = None, trace: str = ""
    ) -> None:
        """Write one message; `fields` and `trace` are added where the line is JSON."""
        self.write(self.render(severity, message, fields, trace))

    def render(
        self, severity: str, message: str, fields: Mapping[str, object] | None = None, trace: str = ""
    ) -> str:
        """The line as it is written, without its line break."""
        if not self.json_lines:
            return message
        entry: dict[str, object] = {
            "severity": severity,
            "message": message,
            "time": datetime.now(UTC).isoformat(),
            **{key: _json_value(value) for key, value in (fields or {}).items()},
        }
        if trace:
            name = f"projects/{self._project}/traces/{trace}" if self._project else trace
            entry["logging.googleapis.com/trace"] = name
        return json.dumps(entry)

    def write(self, line: str) -> None:
        """Write finished lines as they are, secrets masked; never raises: no job may fail for want of a log."""
        with self._lock:
            try:
                sys.stdout.write(self.redact(line) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                _write_to_nowhere()
            except (OSError, ValueError):
                pass  # a full disk, for example, or a character that the output's encoding does not have


def _write_to_nowhere() -> None:
    """Give up a log whose reader is gone for good; otherwise what it was not given would pile up.

    Source: Python's documentation of `signal`, "Note on SIGPIPE".
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)


def _json_value(value: object) -> object:
    if isinstance(value, (bool, int, float)):
        return value
    # The same guard as in logfmt, for people who search raw lines rather than parsed fields.
    return str(value)[:_VALUE_MAX_CHARS].replace("event=", "event\\u003d")
