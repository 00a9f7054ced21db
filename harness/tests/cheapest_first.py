"""A plugin of pytest for ``make mutation``: the cheapest tests come first, by the time that mutmut has seen them take.

mutmut stops at the first test that minds a change, and asks for the tests in no order. Most changes are minded by many
tests, of which some take a thousandth of the time of others.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

_SEEN = Path("mutmut-stats.json")  # in the folder where mutmut runs the tests


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort them; what mutmut has not seen yet comes first."""
    if _SEEN.exists():
        took_s = json.loads(_SEEN.read_text("utf-8"))["duration_by_test"]
        items.sort(key=lambda item: took_s.get(item.nodeid, 0.0))
