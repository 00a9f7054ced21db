"""The core matrix: which cells of the decision table are run, in which groups.

Two rules make it, and every cell in it is run:

- every outcome of Cloud Tasks with every outcome of the worker, under a healthy configuration; and under every one that
  differs from it in one dimension, where of classes that mean the same one stands for all, as of statuses of one kind.
- every configuration that differs in up to two dimensions, with every class there is, whatever it means; while all is
  well, while Cloud Tasks refuses, and while the worker fails too.

In processes, a selection of cells is run: any two classes that do not hide each other occur together in one of them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from allpairspy import AllPairs

from harness.model import Mode
from harness.oracles.cells import APP_ENV, CLOUD_TASKS, DIMENSIONS, WORKER, Cell
from harness.oracles.model import decide

_HEALTHY = {Mode.DEV: Cell("development", worker_flag="true"), Mode.PROD: Cell("production")}
_CONFIGURATION = ("app_env", "worker_flag", "worker_url", "secret", "queue", "client", "request")
_STRICT = frozenset({"unset-on-cloud-run", "misspelt"})
"""What only a dispatcher that claims strict-config answers for."""

# Development never calls Cloud Tasks: two of its outcomes show that.
_OUTCOMES = {Mode.DEV: ("ok", "unavailable"), Mode.PROD: tuple(CLOUD_TASKS)}
_LOST = {Mode.DEV: ("worker",), Mode.PROD: ("cloud_tasks", "worker", "cloud_tasks-and-worker")}
_ANSWERS = {"cloud_tasks": CLOUD_TASKS, "worker": WORKER}
_TROUBLE = {"cloud_tasks": "unavailable", "worker": "503"}

# Statuses of one kind differ in nothing but the number: under an odd configuration one of each stands for all.
_ONE_OF_A_KIND = frozenset({"empty-200", "no-content", "301", "400", "403", "408", "413", "502", "504"})

# In processes: any two classes of a line below, and of two lines of one block, occur together in a cell. Classes that
# hide each other stand in one line or in different blocks; what waits for a time-out or needs a cold start has
# scenarios of its own, and a task whose reply was lost would race with the direct call for a fault of the worker.
_IN_PROCESSES: Mapping[Mode, Sequence[Sequence[str]]] = {
    Mode.PROD: (
        (
            "app_env=production staging",
            "worker_flag=unset true",
            "worker_url=valid slashes",
            "cloud_tasks=ok permission-denied unavailable",
            "worker=done 503 reset done-then-502",
            "request=plain titled",
        ),
        ("worker_flag=true", "cloud_tasks=created-then-unavailable", "request=plain titled"),
        ("worker=done-then-502", "queue=empty-queue"),
        ("worker=503", "client=no-credentials"),
        ("worker_flag=true", "worker_url=no-scheme"),
        ("worker_flag=true", "secret=blank"),
    ),
    Mode.DEV: (
        (
            "app_env=development unset",
            "worker_flag=true on-in-spaces",
            "worker_url=valid slashes",
            "worker=done 503 done-then-reset",
            "request=plain hostile-title",
        ),
        ("worker_flag=false maybe", "request=plain hostile-title"),
        ("worker_flag=true", "worker_url=space-after"),
        ("worker_flag=true", "secret=blank"),
    ),
}


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells that one scenario runs together; they are made when they are asked for, and not when pytest collects."""

    name: str
    make: Callable[[], Sequence[Cell]]

    def __str__(self) -> str:
        """The name: what a parametrised scenario shows."""
        return self.name

    @property
    def cells(self) -> Sequence[Cell]:
        """The cells."""
        return self.make()


def outcomes(mode: Mode) -> list[Cells]:
    """The first rule's cells in which no answer is lost, by what Cloud Tasks does."""
    return [Cells(name, partial(_certain, mode, name)) for name in _OUTCOMES[mode]]


def lost_answers(mode: Mode) -> list[Cells]:
    """The first rule's cells in which an answer is lost, by whose it is: they ask for an idempotent dispatcher."""
    return [Cells(name, partial(_lost, mode, name)) for name in _LOST[mode]]


def configurations(mode: Mode) -> list[Cells]:
    """The second rule's cells that are not the first's, by the dimension that differs first."""
    return [Cells(name, partial(_two, mode, name)) for name in _CONFIGURATION[:-1]]


def strict() -> list[Cells]:
    """What only strict-config answers for: an environment that must not be guessed, with every configuration."""
    return [Cells(name, partial(_not_guessed, name)) for name in sorted(_STRICT)]


def everything() -> list[Cells]:
    """Every group of the core matrix; each cell is in one of them, and in no other."""
    modes = [
        group
        for mode in (Mode.PROD, Mode.DEV)
        for group in (*outcomes(mode), *lost_answers(mode), *configurations(mode))
    ]
    return [*modes, *strict()]


def selected(mode: Mode) -> list[Cell]:
    """The cells that are run in processes: a pairwise selection of each block of ``_IN_PROCESSES``."""
    rows = [row for block in _IN_PROCESSES[mode] for row in AllPairs([_written_out(line) for line in block])]
    return list(
        dict.fromkeys(replace(_HEALTHY[mode], **dict(text.split("=") for text in row)) for row in rows)
    )


def _written_out(line: str) -> list[str]:
    dimension, _, classes = line.partition("=")
    return [f"{dimension}={name}" for name in classes.split()]


def _certain(mode: Mode, outcome: str) -> Sequence[Cell]:
    return tuple(at for at in _first(mode) if at.cloud_tasks == outcome and not decide(at).doubtful)


def _lost(mode: Mode, whose: str) -> Sequence[Cell]:
    return tuple(at for at in _first(mode) if _whose_answer_is_lost(at) == whose and decide(at).doubtful)


def _two(mode: Mode, differing: str) -> Sequence[Cell]:
    return _second(mode).get(differing, ())


@functools.cache
def _first(mode: Mode) -> tuple[Cell, ...]:
    """The first rule's cells. What the table says of them is asked for one group at a time: it takes longest."""
    return tuple(_with_every_outcome(mode))


@functools.cache
def _second(mode: Mode) -> Mapping[str, Sequence[Cell]]:
    """The second rule's cells that are not the first's, by the dimension that differs first."""
    groups: dict[str, list[Cell]] = {}
    known = set(_first(mode))
    for differing, at in _with_two_differences(mode):
        if at not in known:
            known.add(at)
            groups.setdefault(differing, []).append(at)
    return groups


def _not_guessed(name: str) -> Sequence[Cell]:
    healthy = replace(_HEALTHY[Mode.PROD], app_env=name)
    singles = (replace(healthy, **{d: c}) for d in _CONFIGURATION[1:] for c in DIMENSIONS[d])
    starts = APP_ENV[name] is not None  # what does not start calls nobody: two outcomes show that
    queues, workers = (
        (tuple(CLOUD_TASKS), tuple(WORKER)) if starts else (("ok", "unavailable"), ("done", "503"))
    )
    others = (replace(healthy, cloud_tasks=q, worker=w) for q in queues for w in workers)
    cells = dict.fromkeys(itertools.chain([healthy], singles, others))
    return tuple(at for at in cells if not decide(at).doubtful)


def _with_every_outcome(mode: Mode) -> Iterator[Cell]:
    healthy = _HEALTHY[mode]
    singles = (replace(healthy, **{d: c}) for d in _CONFIGURATION for c in _meanings(mode, d))
    configurations = dict.fromkeys(itertools.chain([healthy], singles))
    for queue, worker, configuration in itertools.product(_OUTCOMES[mode], WORKER, configurations):
        if configuration == healthy or worker not in _ONE_OF_A_KIND:
            yield replace(configuration, cloud_tasks=queue, worker=worker)


def _with_two_differences(mode: Mode) -> Iterator[tuple[str, Cell]]:
    healthy = _HEALTHY[mode]
    for first, second in itertools.combinations(_CONFIGURATION, 2):
        for one, other in itertools.product(_classes(mode, first), _classes(mode, second)):
            cell = replace(healthy, **{first: one, second: other})
            yield first, cell
            yield first, replace(cell, cloud_tasks="unavailable")
            yield first, replace(cell, **_TROUBLE)


def _classes(mode: Mode, dimension: str) -> list[str]:
    if dimension == "app_env":
        return [name for name, means in APP_ENV.items() if means is mode and name not in _STRICT]
    return list(DIMENSIONS[dimension])


def _meanings(mode: Mode, dimension: str) -> list[str]:
    """The first class of each meaning; of what means nothing, every class."""
    if dimension == "request":
        return _classes(mode, dimension)
    first: dict[object, str] = {}
    for name in _classes(mode, dimension):
        first.setdefault(DIMENSIONS[dimension][name], name)
    return list(first.values())


def _whose_answer_is_lost(cell: Cell) -> str:
    lost = {name: table[getattr(cell, name)] for name, table in _ANSWERS.items()}
    return "-and-".join(name for name, means in lost.items() if means.done and not means.served)
