"""A scenario's sequence as a drawing: client, API, Cloud Tasks, gateway, worker, from top to bottom in time.

The drawing is SVG without scripts, styles of its own only where it stands alone, and with every text escaped. A fault
is marked with a bolt where it struck. An answer that left the caller in the dark is drawn dashed, in another colour,
with a "?" at the caller. Where nothing happened for long, the drawing says for how long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from reports.text import escape

_LANES = {
    "harness": (90, "client"),
    "api": (280, "API"),
    "cloud_tasks": (470, "Cloud Tasks"),
    "worker_gateway": (660, "gateway"),
    "worker": (850, "worker"),
}
_WIDTH, _TOP, _ROW = 960, 52, 26
_LONG_PAUSE_S, _BELOW = 0.5, 12
_MOST_LABEL, _MOST_BAND = 46, 120
_MARK = f'<rect class="mark" y="-18" width="{_WIDTH}" height="24"/>'
_BAND = f'<rect class="band" x="48" y="-15" width="{_WIDTH - 56}" height="20" rx="6"/>'
_HEADS = [
    f'<rect class="head" x="{x - 58}" y="6" width="116" height="28" rx="8"/>'
    f'<text class="head-text" x="{x}" y="25" text-anchor="middle">{name}</text>'
    for x, name in _LANES.values()
]
_DOTS = {  # the last lane has no room on its right
    lane: f'<circle class="dot" cx="{x}" cy="-4" r="3"/>'
    + (f'<text x="{x - 8}" text-anchor="end">' if lane == "worker" else f'<text x="{x + 8}">')
    for lane, (x, _) in _LANES.items()
}
_BOLTS = {
    lane: f'<circle class="badge-bad" cx="{x}" cy="-4" r="8"/>'
    f'<path class="bolt" d="M{x + 1} -10l-5 7h3l-1 5l5 -7h-3z"/>'
    for lane, (x, _) in _LANES.items()
}
_DOUBTS = {
    lane: f'<circle class="badge-lost" cx="{x}" cy="-4" r="8"/><text class="sign-lost" x="{x}" y="0">?</text>'
    for lane, (x, _) in _LANES.items()
}
_OF_TASK = re.compile(r" of task \S+:").sub  # the drawing has one task, and no room for its name
_KNOWN_LABELS = 4096  # names of events and calls come back in every scenario
_STYLE = """<style>
.life{stroke:#9aa4b2;stroke-dasharray:2 4}.head{fill:#eef1f6;stroke:#9aa4b2}.go,.back{stroke:#1d5b9e;stroke-width:1.6}
.lost{stroke:#754800;stroke-width:2.2;stroke-dasharray:6 4}.bad{stroke:#a11c17;stroke-width:2}
.tip-go,.tip-back{fill:#1d5b9e}.tip-lost{fill:#754800}.tip-bad{fill:#a11c17}.dot{fill:#1d5b9e}.done{fill:#14613a}
.tick{fill:none;stroke:#fff;stroke-width:2}.gone{fill:none;stroke:#a11c17;stroke-width:2.4}
text{font:12px system-ui,sans-serif;fill:#17202c;paint-order:stroke;stroke:#fff;stroke-width:3px}
.head-text,.sign-lost{stroke:none;font-weight:600}.t{fill:#566171;font-size:11px}.fault{fill:#a11c17;font-weight:600}
.maybe{fill:#754800;font-weight:600}.mark{fill:#fff1ac}.band{fill:#fde3e0}.badge-bad{fill:#a11c17}.bolt{fill:#fff}
.badge-lost{fill:#fdecc8;stroke:#754800;stroke-width:1.6}.sign-lost{fill:#754800;text-anchor:middle}</style>"""


def diagram(story: Sequence[Mapping[str, Any]], *, standalone: bool = False) -> str:
    """The drawing, as an ``svg`` element.

    Args:
        story: of an account; see ``harness.account``.
        standalone: for a file of its own: with a name space and colours, which the page gives otherwise.
    """
    rows = []
    y, before = _TOP, None
    below = 0  # what the row before needs below its line
    for entry, drawn in _drawn(story):
        at_s = entry["at_s"]
        if before is not None and at_s - before >= _LONG_PAUSE_S:
            y, below = y + _ROW + below, 0
            rows.append(
                f'<text class="t" x="{_WIDTH // 2}" y="{y - 3}" text-anchor="middle">⋯ {at_s - before:.1f} s ⋯</text>'
            )
        before = at_s
        y += _ROW + below
        below = _BELOW if entry.get("ambiguous") else 0
        mark = _MARK if entry.get("marked") else ""
        rows.append(
            f'<g transform="translate(0 {y})">{mark}<text class="t" x="4">{at_s:.3f}</text>{drawn}</g>'
        )
    height = y + _ROW + below
    lanes = "".join(
        f'<path class="life" d="M{x} 34V{height - 8}"/>{head}'
        for (x, _), head in zip(_LANES.values(), _HEADS, strict=True)
    )
    return f"{_opening(height, standalone=standalone)}{lanes}{''.join(rows)}</svg>"


def _drawn(story: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """What is drawn of the story. Starts and ends of processes only in its midst, where they are part of it."""
    last = max((n for n, entry in enumerate(story) if entry["kind"] in _MIDST), default=0)
    begun = False
    for number, entry in enumerate(story):
        begun = begun or entry["kind"] == "stimulus"
        if entry["kind"] == "process" and not (begun and number < last):
            continue
        draw = _DRAWINGS.get(entry["kind"])
        if draw and (drawn := draw(entry)):
            yield entry, drawn


def _opening(height: int, *, standalone: bool) -> str:
    name_space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    size = f' width="{_WIDTH}" height="{height}"' if standalone else ""
    return (
        f'<svg{name_space} class="sequence" viewBox="0 0 {_WIDTH} {height}"{size} role="img" '
        f'aria-label="Sequence diagram; the time line below tells the same in words">{_STYLE if standalone else ""}'
    )


# Each function below draws one entry on the base line y = 0, or gives "" where nothing is to be drawn.


def _stimulus(entry: Mapping[str, Any]) -> str:
    return _arrow("harness", "api", "go", entry["text"])


def _answer(entry: Mapping[str, Any]) -> str:
    source = "worker_gateway" if entry["source"] == "worker" else "api"
    return _arrow(source, "harness", "back", entry["text"])


def _rpc(entry: Mapping[str, Any]) -> str:
    label = f"{entry.get('label', '')} → {entry.get('reply', '')}"
    kind = _kind(entry, ok="OK")
    return _arrow("api", "cloud_tasks", kind, label) + _doubt(kind, "api") + _strike(entry, "cloud_tasks")


def _request(entry: Mapping[str, Any]) -> str:
    onwards = _arrow("worker_gateway", "worker", "go", "forwarded") if entry.get("forwarded") else ""
    return _arrow(entry.get("caller", "api"), "worker_gateway", "go", entry.get("label", "")) + onwards


def _reply(entry: Mapping[str, Any]) -> str:
    back = _arrow("worker", "worker_gateway", "back", "") if entry.get("forwarded") else ""
    caller = entry.get("caller", "api")
    kind = _kind(entry, ok="2")
    answer = _arrow("worker_gateway", caller, kind, f"answers {entry.get('reply', '')}")
    return back + answer + _doubt(kind, caller) + _strike(entry, "worker_gateway")


def _event(entry: Mapping[str, Any]) -> str:
    event = entry.get("event")
    if not event:
        if not entry.get("unparsed"):
            return ""
        event = f"cannot be read: {entry['text']}"
    return f"{_DOTS.get(entry['source']) or _DOTS['harness']}{_short(event)}</text>"


def _effect(entry: Mapping[str, Any]) -> str:
    x = _LANES.get(entry.get("role", ""), _LANES["worker"])[0]
    side, anchor = (-13, ' text-anchor="end"') if x > 700 else (13, "")
    return (
        f'<rect class="done" x="{x - 8}" y="-12" width="16" height="16" rx="4"/>'
        f'<path class="tick" d="M{x - 4} -4l3 3l5 -6"/>'
        f'<text x="{x + side}"{anchor}>one effect: assembled here</text>'
    )


def _fault(entry: Mapping[str, Any]) -> str:
    """Something done to the system: not where it strikes, but from when on it may."""
    text = _short(entry["text"], _MOST_BAND)
    return f'{_BAND}<text class="fault" x="{_WIDTH // 2}" text-anchor="middle">{text}</text>'


def _attempt(entry: Mapping[str, Any]) -> str:
    if not entry.get("failed"):
        return ""
    text = _OF_TASK(":", entry["text"])
    return f'<text class="fault" x="{_LANES["cloud_tasks"][0]}" text-anchor="middle">{_short(text)}</text>'


def _process(entry: Mapping[str, Any]) -> str:
    x = _LANES.get(entry["source"], _LANES["harness"])[0]
    sign = (
        f'<path class="gone" d="M{x - 5} -9l10 10m0 -10l-10 10"/>'
        if entry["text"].startswith(("ended", "killed"))
        else ""
    )
    side, anchor = (-12, ' text-anchor="end"') if x > 700 else (12, "")
    return f'{sign}<text class="t" x="{x + side}"{anchor}>{_short(entry["text"])}</text>'


def _connection(entry: Mapping[str, Any]) -> str:
    return f'{_BOLTS["worker_gateway"]}<text class="fault" x="648" text-anchor="end">{_short(entry["text"])}</text>'


def _left_out(entry: Mapping[str, Any]) -> str:
    return f'<text class="t" x="{_WIDTH // 2}" text-anchor="middle">… {escape(entry["text"])} …</text>'


def _unexpected(entry: Mapping[str, Any]) -> str:
    x = _LANES.get(entry["source"], _LANES["harness"])[0]
    return f'<text class="fault" x="{x}" text-anchor="middle">unexpected: {_short(entry["text"])}</text>'


_DRAWINGS = {
    "stimulus": _stimulus,
    "answer": _answer,
    "rpc": _rpc,
    "request": _request,
    "reply": _reply,
    "log": _event,
    "effect": _effect,
    "fault": _fault,
    "attempt.ended": _attempt,
    "process": _process,
    "connection": _connection,
    "left out": _left_out,
    "unexpected": _unexpected,
}
_MIDST = {"stimulus", "answer", "rpc", "request", "reply", "effect", "fault"}


def _kind(entry: Mapping[str, Any], *, ok: str) -> str:
    if entry.get("ambiguous"):
        return "lost"
    return "back" if str(entry.get("reply", "")).startswith(ok) else "bad"


def _arrow(source: str, target: str, kind: str, label: str) -> str:
    start, end = _LANES.get(source, _LANES["harness"])[0], _LANES[target][0]
    step = 8 if end > start else -8
    tip = f"M{end} -4l{-step} -4v8z"
    middle = (start + end) // 2
    words = f'<text x="{middle}" y="-9" text-anchor="middle">{_short(label)}</text>' if label else ""
    if kind == "lost":
        words += f'<text class="maybe" x="{middle}" y="10" text-anchor="middle">the caller cannot know</text>'
    return (
        f'{words}<path class="{kind}" d="M{start} -4H{end - step}"/><path class="tip-{kind} tip" d="{tip}"/>'
    )


def _doubt(kind: str, caller: str) -> str:
    return (_DOUBTS.get(caller) or _DOUBTS["harness"]) if kind == "lost" else ""


def _strike(entry: Mapping[str, Any], lane: str) -> str:
    if not entry.get("fault"):
        return ""
    return f'{_BOLTS[lane]}<text class="fault" x="{_LANES[lane][0] + 12}">{_short(entry["fault"])}</text>'


@lru_cache(_KNOWN_LABELS)
def _short(text: str, most: int = _MOST_LABEL) -> str:
    return escape(text if len(text) <= most else text[: most - 1] + "…")
