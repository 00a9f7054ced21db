"""Hunts planted secrets in captured bytes: plain, URL-encoded, base64 and JSON-escaped."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterable

from harness.errors import Finding

_BACKSLASH = re.escape("\\")
# What is left of a short secret when neighbouring bytes are discounted is found in any base64.
_SHORTEST_BASE64 = 8
_BETWEEN = "\0"  # no secret has it: no process could be given one in its environment
MASK = "[secret]"
"""What stands in evidence and reports where a secret stood."""


def hunt(texts: Iterable[tuple[str, str]], secrets: Iterable[str]) -> Finding | None:
    """Look for the secrets in texts given as (where, text)."""
    known = frozenset(secret for secret in secrets if secret)
    texts = list(texts)
    everything = _BETWEEN.join(text for _, text in texts)  # nearly always there is nothing: one look shows it
    if not known or not _any_of(known).search(everything):
        return None
    wanted = [(secret, _spellings(secret)) for secret in sorted(known)]
    found = [
        f"{_name(match[0], secret) if name == 'escaped' else name} in {where}"
        for where, text in texts
        for secret, patterns in wanted
        for name, pattern in patterns.items()
        for match in re.finditer(pattern, text)
    ]
    if not found:
        return None
    return Finding(
        expected="the secret nowhere in what the dispatcher writes or answers",
        observed="; ".join(dict.fromkeys(found)),
        oracle="secrets",
    )


def mask(text: str, secrets: Iterable[str], mark: str = MASK) -> str:
    """The text with every spelling of every secret replaced by the mark."""
    known = frozenset(secret for secret in secrets if secret)
    return _any_of(known).sub(lambda _: mark, text) if known else text


@functools.lru_cache(maxsize=64)
def _any_of(secrets: frozenset[str]) -> re.Pattern[str]:
    """Every spelling of every secret in one pattern: compiling it takes longer than looking through a run with it."""
    longest_first = sorted(sorted(secrets), key=len, reverse=True)
    return re.compile(
        "|".join(pattern for secret in longest_first for pattern in _spellings(secret).values())
    )


@functools.lru_cache(maxsize=64)
def _spellings(secret: str) -> dict[str, str]:
    """Regular expressions for every way in which a secret is looked for, by name.

    Which characters are escaped differs from library to library (some URL-encode a slash and some do not, Go
    writes an ampersand in JSON as an escape, PHP a slash), so each character may stand in any of its forms.

    Base64 depends on where in the encoded text the secret begins: each of the three positions is covered by the
    part of the encoding that is the same whatever stands around it, in both of its alphabets.
    """
    patterns = {"escaped": "".join(map(_character, secret))}
    raw = secret.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # Characters that also encode a neighbouring byte differ from case to case; they are left out.
        start, end = (0, 2, 3)[shift], len(encoded) - (4 if (shift + len(raw)) % 3 else 0)
        if end - start >= _SHORTEST_BASE64:
            patterns[f"base64 (offset {shift})"] = "".join(map(_base64_character, encoded[start:end]))
    return patterns


def _character(char: str) -> str:
    """One character: as it is, percent-encoded, or escaped in JSON, itself perhaps in JSON again."""
    if char == "\\":
        return f"(?:{_BACKSLASH}+|%5[Cc])"
    forms = [re.escape(char), _any_case("".join(f"%{byte:02x}" for byte in char.encode()))]
    forms.append("".join(f"{_BACKSLASH}+u{_any_case(unit)}" for unit in _utf_16(char)))
    if char in '"/':
        forms.append(f"{_BACKSLASH}+{char}")
    if char == " ":
        forms.append(re.escape("+"))
    return f"(?:{'|'.join(forms)})"


def _base64_character(char: str) -> str:
    twin = {"+": "-", "/": "_"}.get(char)
    if twin is None:
        return char
    return f"(?:{_character(char)}|{twin})"


def _utf_16(char: str) -> list[str]:
    units = char.encode("utf-16-be").hex()
    return [units[i : i + 4] for i in range(0, len(units), 4)]


def _any_case(digits: str) -> str:
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)


def _name(found: str, secret: str) -> str:
    if found == secret:
        return "plain"
    return "JSON-escaped" if found.count("\\") > secret.count("\\") else "URL-encoded"
