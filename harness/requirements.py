"""The list of requirements: ids, levels, capabilities, texts."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.model import Level


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a dispatcher must do.

    Attributes:
        id: permanent.
        capability: for an extended requirement, what a profile must claim for it to apply; else "".
        excluded: why it is not verified here at all; "" for one that is to be verified.
    """

    id: str
    level: Level
    text: str
    capability: str = ""
    excluded: str = ""


class Requirements(Mapping[str, Requirement]):
    """All requirements by id, in the order of the list."""

    def __init__(self, items: Iterable[Requirement]) -> None:
        self._by_id = {item.id: item for item in items}

    def __getitem__(self, key: str) -> Requirement:
        return self._by_id[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def check_known(self, ids: Iterable[str], *, user: str) -> None:
        """Raises UsageError when an id is not in the list, naming who used it and the ids of its family."""
        for id_ in ids:
            if id_ not in self._by_id:
                family = [known for known in self._by_id if known.split("-")[0] == id_.split("-")[0]]
                raise UsageError(
                    f"{user} names the unknown requirement {id_!r}; known are {', '.join(family or self._by_id)}"
                )

    def as_json(self) -> str:
        """The list as it is kept with a run's evidence, one line for each."""
        rows = (json.dumps(dataclasses.asdict(item), ensure_ascii=False) for item in self._by_id.values())
        return "[\n" + ",\n".join(rows) + "\n]\n"


def tally(passed: int, folders: Collection[str], not_applicable: Collection[str]) -> str:
    """How many of a requirement's scenarios passed, of those that could, and how many were not applicable.

    Args:
        passed: how many of them passed.
        folders: all of its scenarios.
        not_applicable: the run's scenarios that were not applicable.
    """
    aside = sum(folder in not_applicable for folder in folders)
    judged = len(folders) - aside
    parts = [f"{passed}/{judged}"] if judged else []
    parts += [f"{aside} n/a"] if aside else []
    return ", ".join(parts) or "-"


def load(path: Path) -> Requirements:
    """Read the list, as a person wrote it in TOML or as ``as_json`` did.

    Raises:
        UsageError: no such file, not TOML or JSON, a key is missing, or an id comes twice.
    """
    try:
        text = path.read_text("utf-8")
        rows = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)["requirement"]
        items = [
            Requirement(
                id=row["id"],
                level=Level(row["level"]),
                text=row["text"],
                capability=row.get("capability", ""),
                excluded=row.get("excluded", ""),
            )
            for row in rows
        ]
    except OSError as problem:
        raise UsageError(f"cannot read the requirements {str(path)!r}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError) as problem:
        raise UsageError(f"{path.name} is not a list of requirements: {problem!r}") from None
    ids = [item.id for item in items]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise UsageError(f"{path.name} has {', '.join(twice)} more than once; ids are never reused")
    return Requirements(items)
