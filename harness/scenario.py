"""``@scenario``: what makes a test an executable proof of requirements."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.errors import UsageError
from harness.model import Level

if TYPE_CHECKING:
    import pytest

MARK = "scenario"
_ID = re.compile(r"[A-Z]+(?:-[A-Z0-9]+)*-\d{2}")

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """What a scenario says of itself.

    Attributes:
        id: unique; names the evidence folder.
        title: the first sentence of the docstring.
        requires: the requirements that it proves.
        topology: the one that it needs; "" for any.
    """

    id: str
    title: str
    requires: tuple[str, ...]
    level: Level
    topology: str = ""


def scenario(
    id_: str, *, requires: Sequence[str], level: str = "core", topology: str = ""
) -> Callable[[F], F]:
    """Declare a test to be a scenario.

    Args:
        id_: like ``PROD-FALLBACK-02``.
        requires: ids of the requirements that it proves; at least one.
        level: ``core`` or ``extended``.
        topology: the one without which it shows nothing, ``containers``; elsewhere it is not applicable.

    Raises:
        UsageError: the id has another form, no requirement is named, the level is unknown, or the test has no
            docstring: its first sentence is the specification.
    """
    if not _ID.fullmatch(id_):
        raise UsageError(f"{id_!r} is not a scenario id; write capitals and a number, like PROD-FALLBACK-02")
    if not requires:
        raise UsageError(f"{id_} names no requirement: a scenario proves at least one")
    if level not in list(Level):
        raise UsageError(f"{id_}: {level!r} is not a level; known are {', '.join(Level)}")

    import pytest  # it takes long, and who only runs what is declared here goes without

    def declare(test: F) -> F:
        title = (test.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        if not title:
            raise UsageError(f"{id_} has no docstring; write the specification in one sentence")
        info = ScenarioInfo(id_, re.sub(r"\s+", " ", title), tuple(requires), Level(level), topology)
        marked: F = getattr(pytest.mark, MARK)(info)(test)
        return marked

    return declare


def info_of(item: pytest.Item) -> ScenarioInfo | None:
    """What the test says of itself, or None for a test that is no scenario."""
    mark = item.get_closest_marker(MARK)
    if mark is None or not mark.args or not isinstance(mark.args[0], ScenarioInfo):
        return None
    return mark.args[0]
