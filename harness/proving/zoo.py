"""The zoo: known-bad dispatchers and equivalent ones, each a small patch against the reference.

A file of the zoo is a unified diff after a head of YAML between two lines ``---``. That of a mutant::

    id: flag-parsed-with-bool                       the file's name
    title: A flag is parsed with bool()             one line for a person
    incident: USE_WORKER_IN_DEV=false switched …    what it imitates
    requirement: CONF-03                            must turn red
    oracle: route                                   expected to say so
    scenarios: [CONF-BOOL-02]                       expected to turn red; asked first. May be left out

An equivalent dispatcher has ``id``, ``title`` and ``why``: the reason why nobody may object to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from harness.proving import patches
from harness.requirements import Requirements

# What Python is just compiling has a name of its own, "….pyc.NUMBER", and is gone by the time that it is to be copied.
_NOT_COPIED = shutil.ignore_patterns("tests", "mutants", "*.orig", "*.rej", "*.pyc.*")
H = TypeVar("H", bound=BaseModel)


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)


class MutantHead(_Head):
    """What a mutant's file says of it."""

    incident: str = Field(min_length=1)
    requirement: str = Field(min_length=1)
    oracle: str = Field(min_length=1)
    scenarios: tuple[str, ...] = ()


class VariantHead(_Head):
    """What an equivalent dispatcher's file says of it."""

    why: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Animal:
    """A dispatcher of the zoo: the reference with one patch.

    Attributes:
        path: the file.
        diff: its unified diff; paths begin with the reference's own folder.
    """

    path: Path
    diff: str

    def make(self, reference: Path, target: Path) -> Path:
        """Make a copy of the reference with the patch applied.

        Args:
            reference: the reference's folder.
            target: a folder that does not exist yet; gets a folder of the reference's name.

        Returns:
            ``target``: the source to be judged.

        Raises:
            UsageError: the patch does not fit the reference any more.
        """
        contents = self.fit(reference)
        shutil.copytree(reference, target / reference.name, ignore=_NOT_COPIED)
        for path, text in contents.items():
            (target / path.relative_to(reference.parent)).write_text(text, encoding="utf-8")
        return target

    def fit(self, reference: Path) -> dict[Path, str]:
        """What the patched files would hold.

        Raises:
            UsageError: the patch does not fit the reference any more; the message names it.
        """
        try:
            contents = patches.changed(self.diff, reference.parent)
            for path, text in contents.items():
                compile(text, str(path), "exec")
        except (UsageError, SyntaxError) as problem:
            raise UsageError(
                f"{self.path.name} {problem}. The reference has changed; see CONTRIBUTING.md for how to renew a patch"
            ) from None
        return contents


@dataclass(frozen=True, slots=True)
class Mutant(Animal):
    """A known-bad dispatcher."""

    head: MutantHead


@dataclass(frozen=True, slots=True)
class Variant(Animal):
    """An equivalent dispatcher: behaves as the requirements ask."""

    head: VariantHead


@dataclass(frozen=True, slots=True)
class Zoo:
    """All of them, by id."""

    mutants: Sequence[Mutant]
    variants: Sequence[Variant]

    @property
    def animals(self) -> list[Mutant | Variant]:
        """Mutants first."""
        return [*self.mutants, *self.variants]

    def only(self, ids: Sequence[str]) -> Zoo:
        """The ones with these ids.

        Raises:
            UsageError: there is none of an id.
        """
        known = {animal.head.id for animal in self.animals}
        if unknown := [id_ for id_ in ids if id_ not in known]:
            raise UsageError(f"no such mutant: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return Zoo(
            [mutant for mutant in self.mutants if mutant.head.id in ids],
            [variant for variant in self.variants if variant.head.id in ids],
        )

    def check(self, reference: Path, requirements: Requirements) -> None:
        """Every patch fits, and every requirement that is named exists.

        Raises:
            UsageError: not so; all mistakes are named.
        """
        mistakes: list[str] = []
        for mutant in self.mutants:
            _note(
                mistakes, partial(requirements.check_known, [mutant.head.requirement], user=mutant.path.name)
            )
        for animal in self.animals:
            _note(mistakes, partial(animal.fit, reference))
        if mistakes:
            raise UsageError("the zoo is not in order:\n  " + "\n  ".join(mistakes))


def load(folder: Path) -> Zoo:
    """Read ``*.patch`` and ``equivalent/*.patch``.

    Raises:
        UsageError: there is no mutant, a head cannot be read, or an id is not its file's name.
    """
    mutants = [load_mutant(path) for path in sorted(folder.glob("*.patch"))]
    variants = [
        Variant(path, diff, head)
        for path in sorted(folder.glob("equivalent/*.patch"))
        for head, diff in [_read(path, VariantHead)]
    ]
    if not mutants:
        raise UsageError(f"no mutant in {folder}")
    ids = [*(mutant.head.id for mutant in mutants), *(variant.head.id for variant in variants)]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise UsageError(f"used by a mutant and by an equivalent dispatcher: {', '.join(twice)}")
    return Zoo(mutants, variants)


def load_mutant(path: Path) -> Mutant:
    """Read one mutant.

    Raises:
        UsageError: as ``load``.
    """
    head, diff = _read(path, MutantHead)
    return Mutant(path, diff, head)


def _read(path: Path, kind: type[H]) -> tuple[H, str]:
    try:
        before, _, rest = path.read_text("utf-8").partition("---\n")
    except OSError as problem:
        raise UsageError(f"cannot read the mutant {str(path)!r}: {problem.strerror}") from None
    head, marker, diff = rest.partition("\n---\n")
    if before or not marker:
        raise UsageError(f"{path.name} does not begin with a head between two lines ---")
    try:
        read = kind.model_validate(yaml.safe_load(head))
    except yaml.YAMLError as problem:
        raise UsageError(f"{path.name}: its head is not YAML: {problem}") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        raise UsageError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if getattr(read, "id", "") != path.stem:
        raise UsageError(f"{path.name} says that its id is {getattr(read, 'id', '')!r}; name both alike")
    return read, diff


def _note(mistakes: list[str], check: Callable[[], object]) -> None:
    try:
        check()
    except UsageError as mistake:
        mistakes.append(str(mistake))
