"""Trends: a small SQLite file of runs, with duration and verdict per scenario; it names the flaky ones.

A scenario is flaky when its verdict changed between runs of the same system, suites and profile: nothing that was
judged had changed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    name TEXT PRIMARY KEY, began_at REAL NOT NULL, verdict TEXT NOT NULL, complete INTEGER NOT NULL,
    judged TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS scenario (
    run TEXT NOT NULL REFERENCES run(name), folder TEXT NOT NULL, verdict TEXT NOT NULL, duration_s REAL NOT NULL,
    PRIMARY KEY (run, folder)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scenario_by_folder ON scenario (folder);
"""


@dataclass(frozen=True, slots=True)
class Trend:
    """One scenario over the runs.

    Attributes:
        verdicts: from the oldest run to the newest.
        flaky: whether the verdict changed although nothing that was judged had.
    """

    folder: str
    verdicts: tuple[str, ...]
    durations_s: tuple[float, ...]
    flaky: bool


def add(path: Path, results: Mapping[str, Any]) -> bool:
    """Enter a run.

    Returns:
        Whether it was new; a run that is there already changes nothing.

    Raises:
        UsageError: the file is no history, or one of a newer version.
    """
    run = results["run"]
    identity = run.get("identity", {})
    judged = json.dumps(
        {name: identity.get(name, {}).get("digest", "") for name in ("sut", "suites", "profile")}
    )
    with _open(path) as db:
        row = (run["name"], run["began_at"], results["verdict"], int(results["complete"]), judged)
        if not db.execute("INSERT OR IGNORE INTO run VALUES (?, ?, ?, ?, ?)", row).rowcount:
            return False
        db.executemany(
            "INSERT INTO scenario VALUES (?, ?, ?, ?)",
            [(run["name"], s["folder"], s["verdict"], s["duration_s"]) for s in results["scenarios"]],
        )
    return True


def trends(path: Path, *, last: int = 50) -> list[Trend]:
    """Every scenario of the last runs, by name.

    Raises:
        UsageError: there is no such file, or it is no history.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no history {str(path)!r} yet; enter a run with: dispatchcheck report history FILE RUN"
        )
    with _open(path) as db:
        rows = db.execute(
            "SELECT s.folder, s.verdict, s.duration_s, r.judged FROM scenario s JOIN ("
            "  SELECT * FROM run ORDER BY began_at DESC, name DESC LIMIT ?) r ON r.name = s.run"
            " ORDER BY s.folder, r.began_at, r.name",
            (last,),
        ).fetchall()
    by_folder: dict[str, list[tuple[str, float, str]]] = {}
    for folder, verdict, duration_s, judged in rows:
        by_folder.setdefault(folder, []).append((verdict, duration_s, judged))
    return [_trend(folder, seen) for folder, seen in by_folder.items()]


def _trend(folder: str, seen: list[tuple[str, float, str]]) -> Trend:
    by_identity: dict[str, set[str]] = {}
    for verdict, _, judged in seen:
        by_identity.setdefault(judged, set()).add(verdict)
    return Trend(
        folder=folder,
        verdicts=tuple(verdict for verdict, _, _ in seen),
        durations_s=tuple(duration_s for _, duration_s, _ in seen),
        flaky=any(len(verdicts) > 1 for verdicts in by_identity.values()),
    )


def in_words(found: list[Trend]) -> Iterator[str]:
    """The flaky ones first, then each scenario with its durations."""
    for trend in found:
        if trend.flaky:
            yield f"FLAKY {trend.folder}: {' '.join(trend.verdicts)}"
    for trend in found:
        shortest, longest = min(trend.durations_s), max(trend.durations_s)
        yield (
            f"{trend.folder}: {len(trend.verdicts)} run(s), last {trend.verdicts[-1]} in {trend.durations_s[-1]:.2f} s "
            f"({shortest:.2f} to {longest:.2f} s)"
        )
    yield f"{sum(trend.flaky for trend in found)} of {len(found)} scenarios are flaky"


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as db, db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise UsageError(f"{path} is a history of version {version}; this reads version {_VERSION}")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_VERSION}")
            yield db
    except sqlite3.DatabaseError as problem:
        raise UsageError(f"{path} is no history of runs: {problem}") from None
