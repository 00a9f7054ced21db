"""A scenario's sequence as a drawing: client, API, Cloud Tasks, gateway, worker, from top to bottom in time.

The drawing is SVG without scripts, styles of its own only where it stands alone, and with every text escaped. A fault
is marked where it struck; a reply that left the caller in the dark is drawn dashed, in another colour, with a "?".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_WIDTH, _TOP, _ROW = 960, 54, 24
_MOST_LABEL = 46
_MARK = f'<rect class="mark" y="-15" width="{_WIDTH}" height="21"/>'
_HEADS = [
    f'<rect class="head" x="{x - 56}" y="8" width="112" height="26" rx="6"/>'
    f'<text x="{x}" y="26" text-anchor="middle">{name}</text>'
    for x, name in _LANES.values()
]
_DOTS = {  # the last lane has no room on its right
    lane: f'<circle class="dot" cx="{x}" cy="-4" r="3"/>'
    + (f'<text x="{x - 8}" text-anchor="end">' if lane == "worker" else f'<text x="{x + 8}">')
    for lane, (x, _) in _LANES.items()
}
_KNOWN_LABELS = 4096  # names of events and calls come back in every scenario
_STYLE = """<style>
.life{stroke:#9aa4b2;stroke-dasharray:2 4}.head{fill:#eef1f6;stroke:#9aa4b2}.go,.back{stroke:#24476b;stroke-width:1.6}
.lost{stroke:#8a5300;stroke-width:2;stroke-dasharray:6 4}.bad{stroke:#b3261e;stroke-width:2}
.tip{fill:#24476b}.tip-lost{fill:#8a5300}.tip-bad{fill:#b3261e}.dot{fill:#24476b}.done{fill:#1b6e3c}
text{font:12px system-ui,sans-serif;fill:#1c2430}.t{fill:#5b6675;font-size:11px}.fault{fill:#b3261e;font-weight:600}
.maybe{fill:#8a5300;font-weight:600}.mark{fill:#fff3b0}</style>"""


def diagram(story: Sequence[Mapping[str, Any]], *, standalone: bool = False) -> str:
    """The drawing, as an ``svg`` element.

    Args:
        story: of an account; see ``harness.account``.
        standalone: for a file of its own: with a name space and colours, which the page gives otherwise.
    """
    rows = []
    y = _TOP
    for entry in story:
        draw = _DRAWINGS.get(entry["kind"])
        if not draw or not (drawn := draw(entry)):
            continue
        y += _ROW
        mark = _MARK if entry.get("marked") else ""
        rows.append(
            f'<g transform="translate(0 {y})">{mark}<text class="t" x="4">{entry["at_s"]:.3f}</text>{drawn}</g>'
        )
    height = y + _ROW
    lanes = "".join(
        f'<path class="life" d="M{x} 34V{height - 8}"/>{head}'
        for (x, _), head in zip(_LANES.values(), _HEADS, strict=True)
    )
    return f"{_opening(height, standalone=standalone)}{lanes}{''.join(rows)}</svg>"


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
    return _arrow("api", "cloud_tasks", _kind(entry, ok="OK"), label) + _strike(entry, "cloud_tasks")


def _request(entry: Mapping[str, Any]) -> str:
    onwards = _arrow("worker_gateway", "worker", "go", "forwarded") if entry.get("forwarded") else ""
    return _arrow(entry.get("caller", "api"), "worker_gateway", "go", entry.get("label", "")) + onwards


def _reply(entry: Mapping[str, Any]) -> str:
    back = _arrow("worker", "worker_gateway", "back", "") if entry.get("forwarded") else ""
    label = f"answers {entry.get('reply', '')}"
    kind = _kind(entry, ok="2")
    return (
        back
        + _arrow("worker_gateway", entry.get("caller", "api"), kind, label)
        + _strike(entry, "worker_gateway")
    )


def _event(entry: Mapping[str, Any]) -> str:
    event = entry.get("event")
    if not event:
        if not entry.get("unparsed"):
            return ""
        event = f"cannot be read: {entry['text']}"
    return f"{_DOTS.get(entry['source']) or _DOTS['harness']}{_short(event)}</text>"


def _effect(entry: Mapping[str, Any]) -> str:
    x = _LANES.get(entry.get("role", ""), _LANES["worker"])[0]
    side, anchor = (-12, ' text-anchor="end"') if x > 700 else (12, "")
    return (
        f'<rect class="done" x="{x - 7}" y="-11" width="14" height="14" rx="3"/>'
        f'<text x="{x + side}"{anchor}>one effect: assembled here</text>'
    )


def _fault(entry: Mapping[str, Any]) -> str:
    name = entry.get("fault", "")
    lane = (
        "cloud_tasks"
        if name.startswith("cloud-tasks") or "cloud_tasks" in entry["text"]
        else "worker_gateway"
    )
    return f'<text class="fault" x="{_LANES[lane][0]}" text-anchor="middle">⚡ {_short(entry["text"])}</text>'


def _attempt(entry: Mapping[str, Any]) -> str:
    if not entry.get("failed"):
        return ""
    return f'<text class="fault" x="{_LANES["cloud_tasks"][0]}" text-anchor="middle">{_short(entry["text"])}</text>'


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
    "left out": _left_out,
    "unexpected": _unexpected,
}


def _kind(entry: Mapping[str, Any], *, ok: str) -> str:
    if entry.get("ambiguous"):
        return "lost"
    return "back" if str(entry.get("reply", "")).startswith(ok) else "bad"


def _arrow(source: str, target: str, kind: str, label: str) -> str:
    start, end = _LANES.get(source, _LANES["harness"])[0], _LANES[target][0]
    step = 8 if end > start else -8
    tip = f"M{end} -4l{-step} -4v8z"
    unsure = ' <tspan class="maybe">? the caller cannot know</tspan>' if kind == "lost" else ""
    words = (
        f'<text x="{(start + end) // 2}" y="-8" text-anchor="middle">{_short(label)}{unsure}</text>'
        if label
        else ""
    )
    return (
        f'<path class="{kind}" d="M{start} -4H{end - step}"/><path class="tip-{kind} tip" d="{tip}"/>{words}'
    )


def _strike(entry: Mapping[str, Any], lane: str) -> str:
    if not entry.get("fault"):
        return ""
    x = _LANES[lane][0]
    return f'<text class="fault" x="{x + 8}">⚡ {_short(entry["fault"])}</text>'


@lru_cache(_KNOWN_LABELS)
def _short(text: str) -> str:
    return escape(text if len(text) <= _MOST_LABEL else text[: _MOST_LABEL - 1] + "…")
