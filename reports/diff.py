"""``dispatchcheck report diff``: compares two runs by requirement, by route, by timing and by figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports import figures

_LEAST_S = 0.2
_LEAST_RATIO = 1.5


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is different, one line each; nothing where the runs agree.

    Timing counts as different where it differs by half and by 0.2 s at least, and a figure where it differs by half:
    less is noise on a shared machine.
    """
    return [
        *_identities(before, after),
        *_verdicts(before, after, "requirements", "id"),
        *_verdicts(before, after, "scenarios", "folder"),
        *_routes(before, after),
        *_timing(before, after),
        *_figures(before, after),
    ]


def _identities(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = before["run"].get("identity", {}), after["run"].get("identity", {})
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            yield f"identity: {name} is another one ({_short(old.get(name))} → {_short(new.get(name))})"


def _short(identity: Mapping[str, Any] | None) -> str:
    if identity is None:
        return "none"
    return (
        " ".join(part for part in (identity.get("version", ""), identity.get("digest", "")[:19]) if part)
        or "unknown"
    )


def _verdicts(before: Mapping[str, Any], after: Mapping[str, Any], kind: str, key: str) -> Iterator[str]:
    old, new = ({entry[key]: entry["verdict"] for entry in run[kind]} for run in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        was, is_ = old.get(name, "absent"), new.get(name, "absent")
        if was != is_:
            yield f"{kind.removesuffix('s')}: {name}: {was} → {is_}"


def _routes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = ({s["folder"]: _ways(s) for s in run["scenarios"]} for run in (before, after))
    for name, was in old.items():
        if name in new and new[name] != was:
            yield f"route: {name}: {' | '.join(was) or 'none'} → {' | '.join(new[name]) or 'none'}"


def _ways(scenario: Mapping[str, Any]) -> list[str]:
    return [" → ".join(job["wire"]) for job in (scenario.get("account") or {}).get("jobs", ())]


def _timing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = ({s["folder"]: s["duration_s"] for s in run["scenarios"]} for run in (before, after))
    for name, was in old.items():
        is_ = new.get(name, was)
        low, high = sorted((was, is_))
        if high - low >= _LEAST_S and high >= low * _LEAST_RATIO:
            yield f"timing: {name}: {was:.2f} s → {is_:.2f} s"


def _figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = (
        {(scenario["folder"], figure["name"]): figure for scenario, figure in figures.of_run(run)}
        for run in (before, after)
    )
    for key in [*old, *(key for key in new if key not in old)]:
        was, is_ = old.get(key), new.get(key)
        if was is None or is_ is None or _apart(was, is_):
            words = (figures.in_words(figure) if figure else "absent" for figure in (was, is_))
            yield f"figure: {key[0]}: {key[1]}: {' → '.join(words)}"


def _apart(was: Mapping[str, Any], is_: Mapping[str, Any]) -> bool:
    low, high = sorted((abs(was["value"]), abs(is_["value"])))
    turned = (was["value"] < 0) != (is_["value"] < 0)
    return bool(
        was.get("unit", "") != is_.get("unit", "") or high > low * _LEAST_RATIO or (turned and high > 0)
    )
