"""The decision table, on cells whose answer was worked out by hand from the requirements."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.model import Mode, Route, Setting
from harness.oracles import model
from harness.oracles.cells import DIMENSIONS, Cell, cell
from harness.oracles.model import A_FAILURE, A_SKIP, Said, decide

QUEUE, DIRECT, INLINE = Route.CLOUD_TASKS, Route.WORKER_DIRECT, Route.INLINE
DEV = Cell("development", worker_flag="true")


def said(at: Cell) -> list[str]:
    return [one.event for one in decide(at).said]


@pytest.mark.parametrize(
    ("name", "way", "done_by", "doubtful"),
    [
        # Production, everything configured.
        ("app_env=production", [QUEUE.served], "worker", False),
        ("app_env=staging,worker_flag=true", [QUEUE.served], "worker", False),
        ("app_env=prod,worker=500", [QUEUE.served], "worker", False),
        ("app_env=prod,cloud_tasks=already-exists", [QUEUE.served], "worker", False),
        ("app_env=prod,cloud_tasks=unavailable", [QUEUE.failed, DIRECT.served], "worker", False),
        (
            "app_env=prod,cloud_tasks=not-found,worker=tls",
            [QUEUE.failed, DIRECT.failed, INLINE.served],
            "api",
            False,
        ),
        ("app_env=prod,client=no-credentials", [QUEUE.failed, DIRECT.served], "worker", False),
        ("app_env=prod,client=library-missing", [QUEUE.skipped, DIRECT.served], "worker", False),
        (
            "app_env=prod,queue=no-queue,worker=404",
            [QUEUE.skipped, DIRECT.failed, INLINE.served],
            "api",
            False,
        ),
        ("app_env=prod,secret=unset", [QUEUE.skipped, DIRECT.skipped, INLINE.served], "api", False),
        (
            "app_env=prod,worker_url=no-host,queue=nothing",
            [QUEUE.skipped, DIRECT.skipped, INLINE.served],
            "api",
            False,
        ),
        # Production, an answer is lost.
        ("app_env=prod,cloud_tasks=created-then-reset", [QUEUE.failed, DIRECT.served], "worker", True),
        (
            "app_env=prod,cloud_tasks=created-then-reset,worker=503",
            [QUEUE.failed, DIRECT.failed, INLINE.served],
            "",
            True,
        ),
        (
            "app_env=prod,cloud_tasks=aborted,worker=done-then-timeout",
            [QUEUE.failed, DIRECT.failed, INLINE.served],
            "worker",
            True,
        ),
        ("app_env=prod,worker=done-then-timeout", [QUEUE.served], "worker", False),
        # Development.
        ("app_env=development,worker_flag=true", [DIRECT.served], "worker", False),
        ("app_env=dev,worker_flag=1,cloud_tasks=unavailable", [DIRECT.served], "worker", False),
        ("app_env=unset", [DIRECT.skipped, INLINE.served], "api", False),
        ("app_env=unset,worker_flag=false-in-quotes", [DIRECT.skipped, INLINE.served], "api", False),
        ("app_env=local,worker_flag=maybe", [DIRECT.skipped, INLINE.served], "api", False),
        ("app_env=local,worker_flag=true,secret=blank", [DIRECT.skipped, INLINE.served], "api", False),
        ("app_env=empty,worker_flag=YES,worker=401", [DIRECT.failed, INLINE.served], "api", False),
        ("app_env=dev,worker_flag=true,worker=done-then-502", [DIRECT.failed, INLINE.served], "worker", True),
        ("app_env=dev,worker_flag=false,worker=done-then-502", [DIRECT.skipped, INLINE.served], "api", False),
    ],
)
def test_the_way(name: str, way: list[object], done_by: str, *, doubtful: bool) -> None:
    decision = decide(cell(name))

    assert list(decision.way) == way
    assert (decision.done_by, decision.doubtful) == (done_by, doubtful)
    assert decision.starts


def test_production_says_why_each_route_was_left() -> None:
    at = Cell("prod", cloud_tasks="permission-denied", worker="reset")

    assert decide(at).said == (
        Said(model.CHECKING),
        Said(model.CHECKED),
        Said(model.ENQUEUE_FAILED, frozenset({"permission-denied"}), permanent=True),
        Said(model.TRYING),
        Said(model.DIRECT_FAILED, frozenset({"connection-reset"})),
        Said(model.FALLING_BACK),
    )


def test_nothing_is_said_after_success() -> None:
    assert said(Cell("prod")) == [model.CHECKING, model.CHECKED, model.ENQUEUED]
    assert said(Cell("prod", cloud_tasks="aborted"))[-2:] == [model.TRYING, model.DISPATCHED]
    assert said(DEV) == [model.BANNER, model.SENDING]


def test_what_is_missing_is_the_reason_of_the_check() -> None:
    (_, checked, skipped, _) = decide(Cell("prod", queue="no-queue", secret="unset")).said

    assert checked.reasons == {"not-configured", "tasks-auth-not-set"}
    assert skipped == Said(A_SKIP, frozenset({"tasks-auth-not-set"}))


def test_a_secret_that_cannot_be_sent_may_have_any_reason() -> None:
    assert decide(Cell("prod", secret="unsendable")).said[1].reasons == {""}


def test_development_tells_of_a_failing_worker_before_it_goes_local() -> None:
    assert said(Cell("dev", worker_flag="true", worker="503")) == [
        model.BANNER,
        model.SENDING,
        A_FAILURE,
        model.LOCAL,
    ]
    assert said(Cell("dev")) == [model.BANNER, model.NOT_USED, model.LOCAL]


def test_what_is_odd_is_warned_about() -> None:
    assert decide(Cell("dev", worker_flag="maybe")).warned == {Setting.WORKER_FLAG: frozenset()}
    assert decide(Cell("prod", worker_url="no-host")).warned == {
        Setting.WORKER_URL: {"worker-url-no-host", "no-host"}
    }
    assert decide(Cell("prod", worker_url="unset")).warned == {}  # that is no mistake
    assert decide(Cell("unset-on-cloud-run")).warned == {Setting.APP_ENV: frozenset()}


def test_an_environment_that_is_none_must_not_start() -> None:
    assert Cell("misspelt").mode is None
    assert not decide(Cell("misspelt")).starts
    assert Cell("unset-on-cloud-run").mode is Mode.PROD


def test_every_event_that_a_cell_can_ask_for_is_in_the_vocabulary() -> None:
    cells = [
        Cell(app, worker_flag=flag, worker=w)
        for app in ("prod", "dev")
        for flag in ("true", "0")
        for w in ("done", "500")
    ]
    cells += [Cell("prod", cloud_tasks="aborted", worker="500"), Cell("prod", secret="unset")]

    assert {event for at in cells for event in said(at)} <= model.VOCABULARY


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_cell_has_a_name_from_which_it_can_be_made_again(dimension: str) -> None:
    for name in DIMENSIONS[dimension]:
        at = Cell(**{dimension: name})
        assert cell(str(at)) == at


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no dimension ''.*app_env, worker_flag"),
        (
            "worker=done,app=prod",
            "no dimension 'app'; the dimensions are app_env, .*written like app_env=production,cloud",
        ),
        ("worker=asleep", "no worker=asleep; the classes are done, foreign-page"),
        ("worker=done,worker=500", "gives worker twice"),
    ],
)
def test_a_name_that_is_none_is_explained(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cell(name)
