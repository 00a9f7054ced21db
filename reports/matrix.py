"""The kill matrix as a picture: which known-bad dispatchers the suites find, by which scenario, and for which reason.

Three views of the same, from far to near: a tile for each mutant, by the requirement that it breaks; a row for each
mutant with a mark for each scenario that ran on it; and what each scenario adds. Rows of mutants that were found as
stated are folded: there are many of them, and they ask for nothing. Every mark differs in its form as well as in its
colour, and each row says in words what its marks show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import proof
from reports.text import anchor, escape

_SIGNS = {"killed": "✓", "killed for another reason": "≠", "survived": "✗", "not judged": "?"}
_KINDS = {
    "killed": "PASS",
    "killed for another reason": "INCONCLUSIVE",
    "survived": "FAIL",
    "not judged": "NOT_APPLICABLE",
    "green": "PASS",
    "false alarm": "FAIL",
}
_GAP, _HEIGHT, _ROOM = 10, 20, 660
_WIDEST, _NARROWEST = 8, 4
_MARKS = {  # at x in a cell, w wide; what comes later covers what came before
    "passed": "M{x} 9h{dot}v3h-{dot}z",
    "inconclusive": "M{x} 7h{w}v6h-{w}z",
    "killed for another reason": "M{x} 2h{w}v8h-{w}z",
    "killed": "M{x} 1h{w}v18h-{w}z",
}
_SCENARIO_WORDS = {
    "killed": "scenario red, as stated",
    "killed for another reason": "red for another reason",
    "inconclusive": "inconclusive",
    "passed": "green",
}


def kill_matrix(
    prove: Mapping[str, Any], requirements: Sequence[str] = (), shown: frozenset[str] = frozenset()
) -> str:
    """The picture, as HTML.

    Args:
        prove: the kill matrix.
        requirements: their ids in the order of the list, in which the mutants then stand.
        shown: folders of the scenarios that the page shows, and to which it can link.
    """
    order = {id_: number for number, id_ in enumerate(requirements)}
    mutants = sorted(prove["mutants"], key=lambda mutant: order.get(mutant["requirement"], len(order)))
    prove = {**prove, "mutants": mutants}
    grid = _grid(prove["scenarios"], order)
    views = (
        _tiles(prove),
        _rows(prove, grid, shown),
        _in_words(prove),
        _additions(prove, shown),
        _variants(prove),
    )
    return "".join(part for view in views for part in view)


def _tiles(prove: Mapping[str, Any]) -> Iterator[str]:
    yield '<div class="board">'
    for family, mutants in _families(prove["mutants"]).items():
        yield f'<div class="family"><h3>{escape(family)}</h3><ul>'
        for mutant in mutants:
            verdict, words = mutant["verdict"], escape(f"{mutant['id']}: {mutant['verdict']}")
            yield (
                f'<li><a class="tile {_KINDS[verdict]}" href="#m-{anchor(mutant["id"])}" title="{words}">'
                f'<span aria-hidden="true">{_SIGNS[verdict]}</span><span class="hidden">{words}</span></a></li>'
            )
        yield "</ul></div>"
    keys = "".join(
        f'<span class="key"><span class="tile {_KINDS[verdict]}" aria-hidden="true">{sign}</span> '
        f"{'killed for the stated reason' if verdict == 'killed' else verdict}</span>"
        for verdict, sign in _SIGNS.items()
    )
    yield f'</div><p class="legend">{keys}</p>'


def _rows(prove: Mapping[str, Any], grid: _Grid, shown: frozenset[str]) -> Iterator[str]:
    found = [mutant for mutant in prove["mutants"] if mutant["verdict"] == "killed"]
    rest = [mutant for mutant in prove["mutants"] if mutant["verdict"] != "killed"]
    if rest:
        yield from _table(rest, grid, shown, label="Known-bad dispatchers that were not found as stated")
    if found:
        words = "which scenario found it" if len(found) == 1 else "which scenario found which"
        yield f'<details class="rows"><summary>{len(found)} found for the stated reason: {words}</summary>'
        yield from _table(found, grid, shown, label="Kill matrix")
        yield "</details>"


def _table(
    mutants: Sequence[Mapping[str, Any]], grid: _Grid, shown: frozenset[str], *, label: str
) -> Iterator[str]:
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 8 {_HEIGHT}" width="8" height="{_HEIGHT}" aria-hidden="true">'
        f'<path class="mark-{number}" d="{_marks(mark, [1], _WIDEST)}"/></svg> {_SCENARIO_WORDS[outcome]}</span>'
        for number, (outcome, mark) in reversed(list(enumerate(_MARKS.items())))
    )
    yield (
        f'<p class="legend">{keys}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="matrix"><thead><tr>'
        '<th scope="col">known-bad dispatcher, and which scenario found it</th>'
        f'<th scope="col"><span class="hidden">every scenario that ran on it, by suite</span>{_head(grid)}'
        "</th></tr></thead>"
    )
    for family, mine in _families(mutants).items():
        yield f'<tbody><tr class="family"><th scope="rowgroup" colspan="2">{escape(family)}</th></tr>'
        for mutant in mine:
            yield _row(mutant, grid, shown)
        yield "</tbody>"
    yield "</table></div>"


def _row(mutant: Mapping[str, Any], grid: _Grid, shown: frozenset[str]) -> str:
    kind = _KINDS[mutant["verdict"]]
    wanted = " ".join(escape(mutant[name]) for name in ("requirement", "oracle") if mutant.get(name))
    return (
        f'<tr id="m-{anchor(mutant["id"])}" class="row-{kind}"><th scope="row"><div>'
        f'<span class="tile {kind}" aria-hidden="true">{_SIGNS[mutant["verdict"]]}</span> '
        f"<span><b>{escape(mutant.get('title') or mutant['id'])}</b>"
        f"<small>{wanted}: {_fate(mutant, shown)}</small></span></div></th>"
        f"<td>{_strip(mutant, grid)}</td></tr>"
    )


def _fate(mutant: Mapping[str, Any], shown: frozenset[str]) -> str:
    by = mutant.get("killed_by")
    if not by:
        return f"<strong>{escape(mutant['verdict'])}</strong> {escape(mutant.get('problem', ''))}"
    found = _link(by["scenario"], shown)
    if mutant["verdict"] == "killed":
        return found
    said = " ".join(escape(by[name]) for name in ("requirement", "oracle") if by.get(name))
    return f"{found}, <strong>for another reason</strong> {said}"


def _link(folder: str, shown: frozenset[str]) -> str:
    if folder not in shown:
        return escape(folder)
    return f'<a href="#s-{anchor(folder)}">{escape(folder)}</a>'


@dataclass(frozen=True, slots=True)
class _Grid:
    """The columns: where each scenario's is, by folder; where each suite begins; how wide a cell and all are."""

    places: Mapping[str, int]
    heads: Sequence[tuple[int, str]]
    cell: int
    width: int


def _grid(scenarios: Sequence[Mapping[str, Any]], order: Mapping[str, int]) -> _Grid:
    """Lay the columns out, so that all of them find room beside the words.

    The cases of one scenario share a column: the picture stays as narrow as there are sentences of specification.
    Suites come in the order of the requirements that they are about, as the rows do: what is found where it should be
    lies along one line.
    """
    suites: dict[str, dict[str, list[str]]] = {}
    about: dict[str, list[int]] = {}
    for scenario in scenarios:
        cases = suites.setdefault(scenario["suite"], {})
        cases.setdefault(scenario["scenario"], []).append(scenario["folder"])
        first = next(iter(scenario.get("requires", ())), "")
        about.setdefault(scenario["suite"], []).append(order.get(first, len(order)))
    count = sum(map(len, suites.values()))
    cell = max(_NARROWEST, min(_WIDEST, _ROOM // max(count, 1)))
    places: dict[str, int] = {}
    heads: list[tuple[int, str]] = []
    x = 2
    for suite in sorted(suites, key=lambda suite: sum(about[suite]) / len(about[suite])):
        heads.append((x, suite))
        for folders in suites[suite].values():
            places |= dict.fromkeys(folders, x)
            x += cell
        x += _GAP
    return _Grid(places, heads, cell, x)


def _marks(mark: str, places: Iterable[int], cell: int) -> str:
    return "".join(mark.format(x=x, w=cell - 2, dot=min(3, cell - 2)) for x in places)


def _head(grid: _Grid) -> str:
    names = "".join(f'<text x="{x}" y="14">{escape(suite)}</text>' for x, suite in grid.heads)
    return f'<svg {_size(grid)} aria-hidden="true">{names}</svg>'


def _size(grid: _Grid) -> str:
    return f'viewBox="0 0 {grid.width} {_HEIGHT}" width="{grid.width}" height="{_HEIGHT}"'


def _strip(mutant: Mapping[str, Any], grid: _Grid) -> str:
    by_place: dict[int, str] = {}
    order = list(_MARKS)
    outcomes = mutant.get("scenarios", {})
    for folder, outcome in outcomes.items():
        if (x := grid.places.get(folder)) is not None:
            by_place[x] = max(by_place.get(x, "passed"), outcome, key=order.index)
    paths = "".join(
        f'<path class="mark-{number}" d="{_marks(mark, (x for x, o in by_place.items() if o == outcome), grid.cell)}"/>'
        for number, (outcome, mark) in enumerate(_MARKS.items())
        if outcome in by_place.values()
    )
    lines = "".join(f'<path class="life" d="M{x - 5} 0v{_HEIGHT}"/>' for x, _ in grid.heads[1:])
    counts = [(outcome, list(outcomes.values()).count(outcome)) for outcome in reversed(order)]
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts if count) or "no scenario ran"
    return f'<svg class="strip" {_size(grid)} role="img" aria-label="{words}">{lines}{paths}</svg>'


def _in_words(prove: Mapping[str, Any]) -> Iterator[str]:
    yield (
        '<details class="more"><summary>What each of them imitates, and what was said of it</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Known-bad dispatchers in words"><table><thead><tr>'
        + "".join(f'<th scope="col">{name}</th>' for name in ("id", "incident", "what was said", "time"))
        + "</tr></thead><tbody>"
    )
    for mutant in prove["mutants"]:
        reason = (mutant.get("killed_by") or {}).get("reason", "") or mutant.get("problem", "")
        cells = (mutant.get("incident", ""), reason, f"{mutant.get('duration_s', 0):.1f} s")
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        yield f'<tr><th scope="row">{escape(mutant["id"])}</th>{row}</tr>'
    yield "</tbody></table></div></details>"


def _additions(prove: Mapping[str, Any], shown: frozenset[str]) -> Iterator[str]:
    unique, nothing = proof.unique_kills(prove), proof.kill_nothing(prove)
    if unique is None or nothing is None:
        yield (
            '<p class="soft">Each mutant was left at its first kill, the cheapest scenario first: what each scenario '
            "alone would find is known after <code>dispatchcheck prove --full</code>.</p>"
        )
        return
    yield f'<details class="more"><summary>{_counted(len(unique))} what no other one does</summary><ul>'
    for folder, mutants in unique.items():
        yield f"<li>{_link(folder, shown)}: {escape(', '.join(mutants))}</li>"
    yield f'</ul></details><details class="more"><summary>{_counted(len(nothing))} nothing</summary><ul>'
    for folder in nothing:
        yield f"<li>{_link(folder, shown)}</li>"
    yield "</ul></details>"


def _counted(count: int) -> str:
    return "1 scenario kills" if count == 1 else f"{count} scenarios kill"


def _variants(prove: Mapping[str, Any]) -> Iterator[str]:
    if not prove["equivalent"]:
        return
    yield '<h3>Harmless variants: every scenario must stay green</h3><ul class="variants">'
    for variant in sorted(prove["equivalent"], key=lambda variant: variant["verdict"] == "green"):
        kind = _KINDS[variant["verdict"]]
        problem = f", {escape(variant['problem'])}" if variant.get("problem") else ""
        yield (
            f'<li><span class="v {kind}">{escape(variant["verdict"])}</span> '
            f"{escape(variant.get('title') or variant['id'])} <small>{escape(variant['id'])}, {variant.get('ran', 0)} "
            f"scenarios{problem}</small>"
        )
        for alarm in variant.get("alarms", ()):
            words = f"{alarm['scenario']}: {alarm.get('reason', '')}"
            yield f'<br><small class="reason">{escape(words)}</small>'
        yield "</li>"
    yield "</ul>"


def _families(mutants: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """By the family of the requirement that must turn red."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for mutant in mutants:
        found.setdefault(mutant["requirement"].partition("-")[0], []).append(mutant)
    return found
