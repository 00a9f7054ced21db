"""Decisions in process: dispatchers that decide wrongly are found, and nothing passes that was not judged."""

from __future__ import annotations

import pytest

from harness import matrix, survey
from harness.errors import NotApplicable
from harness.matrix import Cells
from harness.oracles.cells import Cell, cell
from harness.tests.judged import BEGINS, Judged


def test_the_reference_agrees_in_one_cell_of_each_kind(reference: Judged) -> None:
    names = [str(group.cells[len(group.cells) // 2]) for group in matrix.everything()]

    done = reference.judge(*names)

    assert done.findings == []
    assert (done.cells, done.exit_code) == (len(names), 0)


# What a dispatcher may do wrong: the module, the change, a cell that shows it, and what is said of that cell.
MUTANTS = {
    "inline straight after cloud tasks fails": (
        "assembler.py",
        "        if self._worker_confirms(run):",
        "        if False:",
        "app_env=prod,cloud_tasks=unavailable",
        "the way is another one",
    ),
    "the worker is called before cloud tasks": (
        "assembler.py",
        "        elif self._cloud_tasks_accepts(run):",
        "        elif self._worker_confirms(run) or self._cloud_tasks_accepts(run):",
        "app_env=prod",
        "the way is another one",
    ),
    "a worker that failed counts as one that confirmed": (
        "assembler.py",
        "        if attempt.delivered:\n            events.emit(events.WORKER_DISPATCHED",
        "        if not attempt.delivered:\n            events.emit(events.WORKER_DISPATCHED",
        "app_env=prod,cloud_tasks=aborted,worker=503",
        "the job is lost",
    ),
    "any text is true": (
        "values.py",
        "    return Flag(raw, word in _TRUE, word in _TRUE or word in _FALSE)",
        "    return Flag(raw, bool(raw), word in _TRUE or word in _FALSE)",
        "app_env=dev,worker_flag=false",
        "the way is another one",
    ),
    "an odd flag is not mentioned": (
        "values.py",
        "word in _TRUE or word in _FALSE)",
        "True)",
        "app_env=dev,worker_flag=maybe",
        "no event says what is wrong with USE_WORKER_IN_DEV",
    ),
    "the flag leads production into development": (
        "settings.py",
        "        return self.mode is Mode.DEVELOPMENT",
        "        return self.mode is Mode.DEVELOPMENT or self.use_worker_in_dev.value",
        "app_env=prod,worker_flag=true",
        "the way is another one",
    ),
    "a doubtful answer counts as a confirmation": (
        "routes/cloud_tasks.py",
        "_AMBIGUOUS = (Verdict.AMBIGUOUS, False)",
        "_AMBIGUOUS = (Verdict.DELIVERED, False)",
        "app_env=prod,cloud_tasks=cancelled",
        "the job is lost",
    ),
    "any 200 counts as a confirmation": (
        "routes/direct_worker.py",
        '        if said in ("done", "failed"):',
        "        if True:",
        "app_env=prod,cloud_tasks=aborted,worker=foreign-page",
        "the job is lost",
    ),
    "redirects are followed": (
        "decisions.py",
        "WorkerRoute(settings, world.http_client)",
        "WorkerRoute(settings, __import__('httpx').Client(follow_redirects=True))",
        "app_env=prod,cloud_tasks=aborted,worker=307",
        "the events that tell the way are others",
    ),
    "each route has a key of its own": (
        "job.py",
        '            "job_id": self.job_id,\n            "episode_id"',
        '            "job_id": uuid.uuid4().hex,\n            "episode_id"',
        "app_env=prod,cloud_tasks=created-then-reset",
        "the job has more than one effect",
    ),
    "success is logged before the call": (
        "assembler.py",
        "        events.emit(events.CHECKING, run.job)\n",
        "        events.emit(events.ENQUEUED, run.job, task='t')\n        events.emit(events.CHECKING, run.job)\n",
        "app_env=prod",
        "the events that tell the way are others",
    ),
    "a failure has no reason": (
        "assembler.py",
        "            events.WORKER_FAILED,\n            run.job,\n            reason=attempt.reason,",
        "            events.WORKER_FAILED,\n            run.job,",
        "app_env=prod,cloud_tasks=aborted,worker=tls",
        "the events that tell the way are others",
    ),
    "misconfiguration is not told apart": (
        "routes/cloud_tasks.py",
        "_MISCONFIGURED = (Verdict.REJECTED, True)",
        "_MISCONFIGURED = (Verdict.REJECTED, False)",
        "app_env=prod,cloud_tasks=not-found",
        "the events that tell the way are others",
    ),
    "slashes stay in the worker's url": (
        "values.py",
        'base=raw.rstrip("/"))',
        "base=raw)",
        "app_env=dev,worker_flag=true,worker_url=slashes",
        "expected POST /api/tasks/assemble; observed POST ////api/tasks/assemble",
    ),
    "cloud tasks may take for ever": (
        "routes/cloud_tasks.py",
        "timeout=max(0.0, deadline - time.monotonic()), retry=None",
        "timeout=None, retry=None",
        "app_env=prod",
        "CreateTask may take None s",
    ),
    "the worker may take for ever": (
        "routes/direct_worker.py",
        "limits = httpx.Timeout(timeout_s, connect=min(timeout_s, settings.worker_connect_timeout_s))",
        "limits = httpx.Timeout(None)",
        "app_env=dev,worker_flag=true",
        "a request without a time-out",
    ),
    "the secret is logged": (
        "tasks_client.py",
        "    if not will_use_worker:",
        "    print(settings.tasks_auth.reveal())\n    if not will_use_worker:",
        "app_env=dev,worker_flag=true",
        "expected the secret nowhere",
    ),
    "another secret is sent": (
        "job.py",
        '"X-Tasks-Auth": secret,',
        '"X-Tasks-Auth": secret + "x",',
        "app_env=dev,worker_flag=true",
        "another secret",
    ),
    "a title goes into a header": (
        "job.py",
        '            "X-Correlation-Id": self.correlation_id,',
        '            "X-Correlation-Id": self.title or "",',
        "app_env=dev,worker_flag=true,request=titled",
        "the way is another one",
    ),
    "a client that cannot be made stops everything": (
        "routes/cloud_tasks.py",
        "        except Exception as error:  # noqa: BLE001 — whatever it is fails this route only\n",
        "        except TimeoutError as error:\n",
        "app_env=prod,client=no-credentials",
        "the job is lost",
    ),
    "a misspelt environment is development": (
        "settings.py",
        "    if name:\n        known",
        "    if False:\n        known",
        "app_env=misspelt",
        "it must refuse to start, and it started",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_dispatcher_that_decides_wrongly_disagrees(reference: Judged, name: str) -> None:
    module, old, new, at, said = MUTANTS[name]
    reference.change(module, old, new)

    done = reference.judge(at)

    assert done.exit_code == 1
    (finding,) = done.findings
    assert said in finding.observed
    assert f"again --cell='{cell(at)}'" in finding.observed


def test_a_connection_of_its_own_is_not_made(reference: Judged) -> None:
    call = "        __import__('socket').create_connection(('127.0.0.1', 9))"
    reference.change("assembler.py", BEGINS, f"{call}\n{BEGINS}")

    (finding,) = reference.judge("app_env=prod").findings

    assert "socket.getaddrinfo '127.0.0.1'" in finding.observed


def test_a_request_to_anybody_else_is_noticed(reference: Judged) -> None:
    call = "        __import__('httpx').post('http://metrics.example/', timeout=1)"
    reference.change("assembler.py", BEGINS, f"{call}\n{BEGINS}")

    (finding,) = reference.judge("app_env=prod").findings

    assert "POST http://metrics.example/, which is not the worker" in finding.observed


def test_no_cell_at_all_is_no_agreement(reference: Judged) -> None:
    done = survey.survey(reference.profile, reference.workshop.launcher(), [])
    empty = survey.survey(reference.profile, reference.workshop.launcher(), [Cells("none", tuple)])

    assert (done.exit_code, empty.exit_code) == (2, 2)


def test_a_profile_without_an_adapter_has_no_decisions(reference: Judged) -> None:
    without = reference.profile.model_copy(update={"inprocess": None})

    with pytest.raises(NotApplicable, match=r"'reference' has no \[inprocess\]"):
        survey.survey(without, reference.workshop.launcher(), [Cells("one", lambda: (Cell(),))])


def test_groups_are_those_that_a_dispatcher_answers_for() -> None:
    claimed = {group.name for group in survey.groups_for(["strict-config"])}
    core = [at for group in survey.groups_for([]) for at in group.cells]
    whole = [at for group in survey.groups_for(["idempotent", "strict-config"]) for at in group.cells]

    assert {"misspelt", "unset-on-cloud-run"} <= claimed
    assert len(core) < len(whole) == sum(len(group.cells) for group in matrix.everything())
