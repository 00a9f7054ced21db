"""The status page: queues, tasks, attempts and the clock, for a person with a browser. Pure."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

__all__ = ["status_page"]

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1.5rem}
h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:1.8rem 0 .5rem}
header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;
 border-bottom:1px solid var(--line);padding-bottom:.8rem}
.tag{border-radius:1rem;padding:.1rem .6rem;background:var(--soft);font-size:.85rem}
.good{background:#2a83}.bad{background:#c334}.wait{background:#c833}
dl{display:flex;gap:.3rem 2rem;flex-wrap:wrap;margin:.8rem 0}dl div{display:flex;gap:.5rem}
dt{opacity:.65}dd{margin:0;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;opacity:.7}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code{font-size:.85rem;overflow-wrap:anywhere}
p.none,small{opacity:.65}
td small{display:block;font-size:.75rem}
"""


def status_page(state: dict[str, Any], recent: list[dict[str, Any]]) -> str:
    """The page as HTML; it loads nothing else and reloads itself every other second.

    Args:
        state: As the control plane gives it.
        recent: The newest journal entries, oldest first.
    """
    idle = state["idle"]
    badge = f'<span class="tag {"good" if idle else "wait"}">{"idle" if idle else "working"}</span>'
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Cloud Tasks fake</title>",
        '<meta name=viewport content="width=device-width"><meta http-equiv=refresh content=2>',
        f"<style>{_STYLE}</style>",
        f"<header><h1>Cloud Tasks fake</h1>{badge}<span>{_text(state['pending'])}</span></header>",
        "<dl>",
        *(
            f"<div><dt>{name}</dt><dd><code>{_text(value)}</code></dd></div>"
            for name, value in (
                ("clock", f"{_time(state['clock']['now_us'])} ({state['clock']['mode']})"),
                ("gRPC", state["grpc"]),
                ("REST", state["rest"]),
            )
        ),
        "</dl>",
        "<h2>Queues</h2>",
        _queues(state["queues"]),
        "<h2>Waiting and running tasks</h2>",
        _tasks(state["queues"], state["clock"]["now_us"]),
        "<h2>Scripted faults</h2>",
        _faults(state["faults"]),
        "<h2>Latest calls and attempts</h2>",
        _recent(recent),
        "</html>",
    ]
    return "\n".join(parts)


def _queues(queues: list[dict[str, Any]]) -> str:
    rows = []
    for queue in queues:
        configured, effective = queue["max_dispatches_per_second"], queue["effective_dispatches_per_second"]
        rate = f"{configured:g}/s" + (f" (now {effective:g})" if effective != configured else "")
        attempts = "unlimited" if queue["max_attempts"] < 0 else str(queue["max_attempts"])
        kind = "good" if queue["state"] == "RUNNING" else "bad"
        rows.append(
            f"<tr><td><code>{_text(queue['name'].rpartition('/')[2])}</code>"
            f"<small>{_text(queue['name'].rpartition('/queues/')[0])}</small>"
            f"<td><span class='tag {kind}'>{queue['state']}</span>"
            f"<td class=n>{queue['tasks_count']}<td class=n>{queue['in_flight']}"
            f"<td class=n>{queue['retrying']}"
            f"<td class=n>{rate}<td class=n>{queue['max_concurrent_dispatches']}<td class=n>{attempts}"
        )
    head = "<th>name<th>state<th class=n>tasks<th class=n>in flight<th class=n>retrying<th class=n>rate"
    return _table(head + "<th class=n>concurrent<th class=n>attempts", rows, "No queue yet.")


def _tasks(queues: list[dict[str, Any]], now_us: int) -> str:
    rows = []
    for queue in queues:
        for task in queue["tasks"]:
            due_s = (task["schedule_us"] - now_us) / 1e6
            soon = "now" if queue["state"] == "RUNNING" else "when resumed"
            due = "in flight" if task["in_flight"] else soon if due_s <= 0 else f"in {due_s:.1f} s"
            last = {None: "", 0: "no response"}.get(task["last_status"], f"HTTP {task['last_status']}")
            rows.append(
                f"<tr><td><code>{_text(task['id'])}</code><td>{_text(queue['name'].rpartition('/')[2])}"
                f"<td>{due}"
                f"<td class=n>{task['dispatch_count']}<td class=n>{task['response_count']}<td>{last}"
            )
        more = queue["tasks_count"] - len(queue["tasks"])
        if more:
            rows.append(
                f"<tr><td>… and {more} more<td>{_text(queue['name'].rpartition('/')[2])}<td><td><td><td>"
            )
    head = "<th>task<th>queue<th>due<th class=n>dispatched<th class=n>responses<th>last"
    return _table(head, rows, "No task waits or runs.")


def _faults(faults: list[dict[str, Any]]) -> str:
    rows = [
        f"<tr><td>{_text(each['fault']['name'])}<td>{_text(each['fault'].get('method', '*'))}"
        f"<td>{_text(each['fault']['applied'])}<td>{_text(each['fault']['observed'])}"
        f"<td class=n>{each['fired']}"
        for each in faults
    ]
    return _table("<th>name<th>hits<th>applied<th>observed<th class=n>fired", rows, "None.")


def _recent(recent: list[dict[str, Any]]) -> str:
    rows = []
    for each in reversed(recent):
        fields = each["fields"]
        answered = f"HTTP {fields['status']}" if fields.get("status") else fields.get("reason")
        what = fields.get("method") or fields.get("change") or fields.get("why") or answered or ""
        result = fields.get("code") or fields.get("outcome") or ""
        bad = result not in {"", "OK", "success"}
        about = _about(fields)
        rows.append(
            f"<tr><td class=n>{each['seq']}<td>{_text(_time(round(each['at'] * 1e6)))}"
            f"<td>{_text(each['kind'])}"
            f"<td>{_text(what)}<td>"
            + (f"<span class='tag {'bad' if bad else 'good'}'>{_text(result)}</span>" if result else "")
            + f"<td><code>{_text(about.partition('/queues/')[2] or about)}</code>"
        )
    return _table("<th class=n>#<th>at<th>kind<th>what<th>result<th>about", rows, "Nothing happened yet.")


def _about(fields: dict[str, Any]) -> str:
    """The resource that an entry is about."""
    request = fields.get("request") or {}
    named = request.get("queue") or {}
    for found in (
        *(fields.get(key) for key in ("task", "queue", "name")),
        *(request.get(key) for key in ("name", "resource", "parent")),
        named.get("name"),
    ):
        if found:
            return str(found)
    return ""


def _table(head: str, rows: list[str], empty: str) -> str:
    if not rows:
        return f"<p class=none>{empty}</p>"
    return f"<div class=scroll><table><thead><tr>{head}<tbody>" + "\n".join(rows) + "</table></div>"


def _time(when_us: int) -> str:
    when = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=when_us)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _text(value: object) -> str:
    return html.escape(str(value))
