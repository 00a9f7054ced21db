from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_services.cloud_tasks.concurrency import ConcurrencyCap


@given(
    limit=st.integers(1, 5), steps=st.lists(st.sampled_from(["ordinary", "forced", "end", "raise", "lower"]))
)
def test_the_cap_is_a_plain_count(limit: int, steps: list[str]) -> None:
    """Against the plain model: a list of what is in flight."""
    cap = ConcurrencyCap(limit)
    flying: list[str] = []
    for step in steps:
        if step == "ordinary":
            assert cap.free == (len(flying) < limit)
            if not cap.free:
                continue
        if step in {"ordinary", "forced"}:
            cap.started()
            flying.append(step)
        elif step == "end" and flying:
            cap.ended()
            flying.pop()
        elif step == "raise":
            limit = cap.limit = limit + 1
        elif step == "lower":
            limit = cap.limit = max(1, limit - 1)
        assert cap.in_flight == len(flying)


def test_nothing_ends_that_never_started() -> None:
    with pytest.raises(ValueError, match="no attempt is in flight"):
        ConcurrencyCap(1).ended()
