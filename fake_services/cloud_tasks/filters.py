"""The filter of ListQueues: the grammar of Logging filters, over a queue's JSON form. Pure.

Source: RPC reference, ListQueuesRequest.filter (operators < > = != :); "Logging query language" for NOT,
OR and AND, which bind in that order, most tightly first.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

from fake_services.cloud_tasks.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_filter"]

Json = dict[str, object]

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[()])|(?P<op><=|>=|!=|=|<|>|:)"""
    r"""|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()<>=!:"]+))"""
)
_OPERATORS = {
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DURATION = re.compile(r"-?\d+(?:\.\d+)?s")
_DEPTH_LIMIT = 50


def compile_filter(text: str) -> Callable[[Json], bool]:
    """A predicate over a queue's JSON form (camelCase keys; paths may be written either way).

    Raises:
        ApiError: INVALID_ARGUMENT when it cannot be parsed.
    """
    if not text.strip():
        return lambda _: True
    parser = _Parser(text)
    found = parser.conjunction(0)
    if parser.token != ("end", ""):
        raise parser.error()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.token = ("", "")
        self._next()

    def error(self) -> Exception:
        return invalid(f"The filter is invalid near {self.token[1] or 'its end'!r}: {self._text!r}.")

    def _next(self) -> None:
        if not self._text[self._at :].strip():
            self.token = ("end", "")
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self.token = ("bad", self._text[self._at :])
            raise self.error()
        self._at = match.end()
        kind = str(match.lastgroup)
        value = match[kind]
        self.token = (kind, re.sub(r"\\(.)", r"\1", value) if kind == "quoted" else value)

    def conjunction(self, depth: int) -> Callable[[Json], bool]:
        if depth > _DEPTH_LIMIT:
            raise self.error()
        parts = [self._disjunction(depth)]
        while self.token not in (("end", ""), ("paren", ")")):
            if self.token == ("word", "AND"):
                self._next()
            parts.append(self._disjunction(depth))
        return lambda queue: all(part(queue) for part in parts)

    def _disjunction(self, depth: int) -> Callable[[Json], bool]:
        parts = [self._negation(depth)]
        while self.token == ("word", "OR"):
            self._next()
            parts.append(self._negation(depth))
        return lambda queue: any(part(queue) for part in parts)

    def _negation(self, depth: int) -> Callable[[Json], bool]:
        if self.token == ("word", "NOT"):
            self._next()
            inner = self._negation(depth + 1) if depth < _DEPTH_LIMIT else self._term(depth + 1)
            return lambda queue: not inner(queue)
        kind, value = self.token
        if kind == "word" and value.startswith("-") and len(value) > 1:
            self.token = (kind, value[1:])
            inner = self._term(depth)
            return lambda queue: not inner(queue)
        return self._term(depth)

    def _term(self, depth: int) -> Callable[[Json], bool]:
        if self.token == ("paren", "("):
            self._next()
            inner = self.conjunction(depth + 1)
            if self.token != ("paren", ")"):
                raise self.error()
            self._next()
            return inner
        kind, path = self.token
        if kind not in {"word", "quoted"} or path in {"AND", "OR"}:
            raise self.error()
        self._next()
        if self.token[0] != "op":
            wanted = path.lower()
            return lambda queue: wanted in repr(queue).lower()  # a bare value is looked for everywhere
        comparison = self.token[1]
        self._next()
        kind, value = self.token
        if kind not in {"word", "quoted"} or self.token in {("word", "AND"), ("word", "OR")}:
            raise self.error()
        self._next()
        return lambda queue: _compare(_lookup(queue, path), comparison, value)


def _lookup(queue: Json, path: str) -> object:
    found: object = queue
    for part in path.split("."):
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), part)
        found = found.get(camel) if isinstance(found, dict) else None
    return found


def _compare(found: object, comparison: str, value: str) -> bool:
    if found is None:
        return comparison == "!="
    if comparison == ":" and value == "*":
        return True
    left, right = _same_kind(found, value)
    if not (isinstance(left, float) and isinstance(right, float)):
        left, right = str(left), str(right)
        if comparison == ":":
            return right in left
    return bool(_OPERATORS[comparison](left, right))


def _same_kind(found: object, value: str) -> tuple[object, object]:
    if isinstance(found, str) and _DURATION.fullmatch(found):
        found = float(found[:-1])
        value = value.removesuffix("s")
    if isinstance(found, int | float):
        try:
            return float(found), float(value)
        except ValueError:
            pass
    return str(found).lower(), value.lower()
