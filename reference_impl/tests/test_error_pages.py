"""What is behind an address that is not the worker's: pages, which may be long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference_impl.job import Job
from reference_impl.routes import Verdict
from reference_impl.routes.direct_worker import WorkerRoute
from reference_impl.tests.conftest import SECRET
from reference_impl.tests.stubs import HttpStub

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.settings import Settings

PAGE = b"<html>not here" + b" " * 100_000


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        (404, Verdict.REJECTED, "http-404"),
        (502, Verdict.AMBIGUOUS, "http-502"),
        (200, Verdict.AMBIGUOUS, "bad-reply"),
    ],
)
def test_a_long_page_proves_what_a_short_one_does(
    settings: Callable[..., Settings], status: int, verdict: Verdict, reason: str
) -> None:
    stub = HttpStub(lambda _: (status, PAGE))
    try:
        route = WorkerRoute(settings(WORKER_URL_BASE=stub.url, TASKS_AUTH=SECRET))
        attempt = route.attempt(Job("j1", "e1", "c1"), 20)
    finally:
        stub.close()
    assert (attempt.verdict, attempt.reason) == (verdict, reason)
    assert len(attempt.detail) < len(PAGE)
