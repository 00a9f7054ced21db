"""The figures of a run: what its scenarios measured, in words that every report uses alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def of_run(results: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every figure with its scenario, in the order of the scenarios."""
    for scenario in results["scenarios"]:
        for figure in scenario.get("figures", ()):
            yield scenario, figure


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as a report shows it among those of the whole run, and the scenarios that it is from."""

    figure: Mapping[str, Any]
    folders: Sequence[str]


def overview(results: Mapping[str, Any]) -> list[Shown]:
    """The figures of the whole run, for a reader who wants to see them at a glance.

    What many scenarios counted, under one name and without a bound, is added up. Everything else stands alone: no sum
    of times or rates says anything, and a bound is one scenario's.
    """
    found: list[Shown] = []
    counted: dict[tuple[str, str], int] = {}
    for scenario, figure in of_run(results):
        key = (figure["name"], figure.get("unit", ""))
        if not _is_count(figure):
            found.append(Shown(figure, [scenario["folder"]]))
        elif key in counted:
            so_far = found[counted[key]]
            total = {**figure, "value": so_far.figure["value"] + figure["value"]}
            found[counted[key]] = Shown(total, [*so_far.folders, scenario["folder"]])
        else:
            counted[key] = len(found)
            found.append(Shown(figure, [scenario["folder"]]))
    return found


def _is_count(figure: Mapping[str, Any]) -> bool:
    unbounded = figure.get("at_least") is None and figure.get("at_most") is None
    return unbounded and isinstance(figure["value"], int)


def in_words(figure: Mapping[str, Any]) -> str:
    """The value with its unit."""
    return _with_unit(figure["value"], figure.get("unit", ""))


def bound_in_words(figure: Mapping[str, Any]) -> str:
    """The bound that it was judged by, "" where there is none."""
    unit = figure.get("unit", "")
    bounds = (("at least", figure.get("at_least")), ("at most", figure.get("at_most")))
    return ", ".join(f"{word} {_with_unit(bound, unit)}" for word, bound in bounds if bound is not None)


def _with_unit(value: float, unit: str) -> str:
    text = (
        f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    )
    return text + ("" if not unit else unit if unit == "%" else f" {unit}")
