"""The figures of a run: what its scenarios measured, in words that every report uses alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def of_run(results: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every figure with its scenario, in the order of the scenarios."""
    for scenario in results["scenarios"]:
        for figure in scenario.get("figures", ()):
            yield scenario, figure


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
