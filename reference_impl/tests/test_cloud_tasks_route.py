"""What each answer of Cloud Tasks proves, and how its client is made and kept."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import pytest
from google.api_core import exceptions as api_exceptions
from google.auth import jwt
from google.auth.credentials import Credentials

from reference_impl.job import Job
from reference_impl.routes import Attempt, Verdict, cloud_tasks, credentials
from reference_impl.routes.cloud_tasks import CODES, CloudTasksRoute, classify, connect
from reference_impl.tests.stubs import QUEUE, CloudTasksStub, Identity, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_impl.settings import Settings

JOB = Job("j1", "e1", "c1", title="A title")
SECRET = "hush-hush"
REJECTED_CODES = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
)
AMBIGUOUS_CODES = ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]
PERMANENT_CODES = REJECTED_CODES[:7]


def test_every_grpc_code_is_classified() -> None:
    assert {code.name for code in grpc.StatusCode} - {"OK"} == set(CODES)
    assert {*REJECTED_CODES, *AMBIGUOUS_CODES, "ALREADY_EXISTS"} == set(CODES)


class TestCloudTasks:
    @pytest.fixture
    def stub(self, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudTasksStub]:
        stub = CloudTasksStub(identity, deliver=False)
        for name, value in identity.environment(stub.port).items():
            monkeypatch.setenv(name, value)
        yield stub
        stub.close()

    @pytest.fixture
    def route(self, settings: Callable[..., Settings]) -> CloudTasksRoute:
        return CloudTasksRoute(
            settings(
                APP_ENV="production",
                WORKER_URL_BASE="https://w.example/",
                TASKS_AUTH=SECRET,
                GOOGLE_CLOUD_PROJECT="proj",
                TASKS_LOCATION="loc",
                TASKS_QUEUE="q",
                ASSEMBLY_MAX_S="900",
            )
        )

    def test_a_task_is_created_once_for_now_and_for_the_worker(
        self, stub: CloudTasksStub, route: CloudTasksRoute
    ) -> None:
        assert route.attempt(JOB, 5.0) == Attempt(Verdict.DELIVERED, "created")
        (request,) = stub.requests
        task = request.task
        assert request.parent == QUEUE
        assert task.name == f"{QUEUE}/tasks/assemble-j1" == route.task_name(JOB)
        assert task.http_request.url == "https://w.example/api/tasks/assemble"
        assert task.http_request.http_method.name == "POST"
        assert task.http_request.body == JOB.body()
        assert dict(task.http_request.headers) == JOB.headers(SECRET)
        assert task.dispatch_deadline.seconds >= 900
        assert "schedule_time" not in task
        assert not task.http_request.oidc_token.service_account_email

    @pytest.mark.parametrize(
        ("longest", "deadline_s"),
        [("1", 15), ("14.2", 15), ("15", 15), ("20.2", 21), ("1799.2", 1800), ("1800", 1800)],
    )
    def test_cloud_tasks_waits_as_long_as_an_assembly_may_take_within_its_own_bounds(
        self, stub: CloudTasksStub, settings: Callable[..., Settings], longest: str, deadline_s: int
    ) -> None:
        configured = settings(WORKER_URL_BASE="https://w.example", TASKS_AUTH=SECRET, ASSEMBLY_MAX_S=longest)
        assert CloudTasksRoute(configured).attempt(JOB, 5.0).delivered
        assert stub.requests[0].task.dispatch_deadline.seconds == deadline_s

    def test_the_last_channel_never_goes_whatever_is_forgotten(
        self, stub: CloudTasksStub, route: CloudTasksRoute, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With it gRPC would end its threads, which can bring the whole process to a stand."""
        made: list[weakref.ref[grpc.Channel]] = []

        def watched(
            address: str, make: Callable[[str], grpc.Channel] = grpc.insecure_channel
        ) -> grpc.Channel:
            channel = make(address)
            made.append(weakref.ref(channel))
            return channel

        monkeypatch.setattr(grpc, "insecure_channel", watched)
        cloud_tasks._keep_grpc_running.cache_clear()
        stub.troubles = [Trouble(code="UNAVAILABLE")] * 2
        for _ in range(2):
            assert not route.attempt(JOB, 5.0).delivered
            assert route._client is None
        gc.collect()
        assert [channel() is not None for channel in made] == [True]

    def test_a_token_is_asked_for_when_configured(
        self, stub: CloudTasksStub, settings: Callable[..., Settings]
    ) -> None:
        configured = settings(
            WORKER_URL_BASE="https://w.example", TASKS_AUTH=SECRET, TASKS_OIDC_SERVICE_ACCOUNT="tasks@proj"
        )
        CloudTasksRoute(configured).attempt(JOB, 5.0)
        token = stub.requests[0].task.http_request.oidc_token
        assert token.service_account_email == "tasks@proj"
        assert token.audience == "https://w.example/api/tasks/assemble"

    @pytest.mark.parametrize("code", REJECTED_CODES)
    def test_a_refusal_is_certain(self, stub: CloudTasksStub, route: CloudTasksRoute, code: str) -> None:
        stub.troubles = [Trouble(code)]
        attempt = route.attempt(JOB, 5.0)
        assert (attempt.verdict, attempt.reason) == (Verdict.REJECTED, code.lower().replace("_", "-"))
        assert attempt.permanent == (code in PERMANENT_CODES)
        assert "told to fail" in attempt.detail
        assert not attempt.costly

    @pytest.mark.parametrize("code", AMBIGUOUS_CODES)
    def test_other_errors_are_ambiguous(
        self, stub: CloudTasksStub, route: CloudTasksRoute, code: str
    ) -> None:
        stub.troubles = [Trouble(code, created=True)]
        attempt = route.attempt(JOB, 5.0)
        assert (attempt.verdict, attempt.permanent) == (Verdict.AMBIGUOUS, False)

    def test_already_exists_counts_as_enqueued(self, stub: CloudTasksStub, route: CloudTasksRoute) -> None:
        stub.troubles = [Trouble("UNAVAILABLE", created=True)]
        assert route.attempt(JOB, 5.0).verdict is Verdict.AMBIGUOUS
        assert route.attempt(JOB, 5.0) == Attempt(
            Verdict.DELIVERED, "already-exists", "Requested entity already exists"
        )
        assert len(stub.tasks) == 1

    def test_a_call_that_hangs_is_cut_off(self, stub: CloudTasksStub, route: CloudTasksRoute) -> None:
        assert route.attempt(Job("before", "e1", "c1"), 5.0).delivered  # building the client takes its time
        stub.troubles = [Trouble(hang_s=30)]
        attempt = route.attempt(JOB, 0.3)
        assert (attempt.verdict, attempt.reason) == (Verdict.AMBIGUOUS, "deadline-exceeded")
        assert attempt.costly

    def test_a_refused_connection_is_certain_and_the_next_job_connects_again(
        self, stub: CloudTasksStub, route: CloudTasksRoute
    ) -> None:
        assert route.attempt(JOB, 5.0).delivered
        stub.shut()
        for number in range(3):  # enough for a channel to back off for seconds
            attempt = route.attempt(Job(f"down{number}", "e1", "c1"), 5.0)
            assert (attempt.verdict, attempt.reason) == (Verdict.REJECTED, "connection-refused"), attempt
        stub.open()
        assert route.attempt(Job("up", "e1", "c1"), 5.0).delivered

    def test_no_name_resolution_is_certain(
        self, route: CloudTasksRoute, identity: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in identity.environment(1).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "nowhere.invalid")
        attempt = route.attempt(JOB, 5.0)
        assert (attempt.verdict, attempt.reason) == (Verdict.REJECTED, "dns"), attempt

    @pytest.mark.parametrize("content", [None, "", "{}", '{"type": "service_account"}', "not json"])
    def test_a_client_that_cannot_be_built_is_a_failed_route(
        self, route: CloudTasksRoute, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, content: str | None
    ) -> None:
        key_file = tmp_path / "key.json"
        if content is not None:
            key_file.write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        attempt = route.attempt(JOB, 5.0)
        assert (attempt.verdict, attempt.reason, attempt.permanent) == (
            Verdict.REJECTED,
            "client-unavailable",
            True,
        )

    def test_a_client_that_could_not_be_built_is_built_for_the_next_job_and_kept(
        self, stub: CloudTasksStub, settings: Callable[..., Settings]
    ) -> None:
        outcomes: list[Exception | None] = [OSError("no metadata server"), None]

        def build() -> Any:
            outcome = outcomes.pop(0)
            if outcome is not None:
                raise outcome
            return connect()

        route = CloudTasksRoute(settings(WORKER_URL_BASE="https://w.example", TASKS_AUTH=SECRET), build)
        attempts = [route.attempt(Job(f"j{number}", "e1", "c1"), 5.0) for number in range(3)]
        assert [attempt.reason for attempt in attempts] == ["client-unavailable", "created", "created"]
        assert attempts[0].detail == "OSError: no metadata server"
        assert len(stub.tasks) == 2

    def test_a_library_that_cannot_be_imported_is_a_failed_route(
        self, route: CloudTasksRoute, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "google.cloud.tasks_v2", None)
        monkeypatch.delattr("google.cloud.tasks_v2")
        attempt = route.attempt(JOB, 5.0)
        assert (attempt.verdict, attempt.reason) == (Verdict.REJECTED, "client-unavailable")
        assert "import of google.cloud.tasks_v2 halted" in attempt.detail

    def test_a_client_that_takes_too_long_to_build_fails_this_job_and_serves_the_next(
        self, stub: CloudTasksStub, settings: Callable[..., Settings]
    ) -> None:
        allowed = threading.Event()

        def slow() -> Any:
            thread = threading.current_thread()
            assert (thread.name, thread.daemon) == ("client", True)
            allowed.wait(20)
            return connect()

        route = CloudTasksRoute(
            settings(GOOGLE_CLOUD_PROJECT="proj", TASKS_LOCATION="loc", TASKS_QUEUE="q"), slow
        )
        attempt = route.attempt(JOB, 0.1)
        assert attempt == Attempt(Verdict.REJECTED, "client-unavailable", "TimeoutError: ")
        allowed.set()
        assert route.attempt(JOB, 5.0).delivered
        assert len(stub.requests) == 1

    @pytest.mark.parametrize(
        "others",
        [[], ["quick"], ["quick", "early"], ["quick", "other"]],
        ids=[
            "by it alone",
            "by another one first",
            "while another is being built",
            "after another was built",
        ],
    )
    def test_a_client_whose_connection_is_in_doubt_is_dropped_and_no_other(
        self, settings: Callable[..., Settings], others: list[str]
    ) -> None:
        """While the slow call is under way, other jobs meet the same end, and the second client is built for them."""
        built: list[Scripted] = []
        allowed = threading.Event()
        if "early" not in others:
            allowed.set()

        class Scripted:
            def create_task(self, request: Any, **_: object) -> None:
                if self is not built[0]:
                    return
                if request.task.name.endswith("/assemble-slow"):
                    for job_id in others:
                        route.attempt(Job(job_id, "e1", "c1"), 0.05 if job_id == "early" else 5.0)
                raise api_exceptions.ServiceUnavailable("Socket closed")  # type: ignore[no-untyped-call]

        def build() -> Any:
            assert not built or allowed.wait(10)
            built.append(Scripted())
            return built[-1]

        route = CloudTasksRoute(settings(WORKER_URL_BASE="https://w.example", TASKS_AUTH=SECRET), build)
        assert route.attempt(Job("slow", "e1", "c1"), 5.0).reason == "unavailable"
        allowed.set()
        assert route.attempt(Job("last", "e1", "c1"), 5.0).reason == "created"
        assert len(built) == 2

    @pytest.mark.parametrize(("spent_s", "left_s"), [(0.0, 5.0), (4.5, 0.5), (6.0, 0.0)])
    def test_the_call_has_the_time_that_is_left_and_is_made_once(
        self,
        settings: Callable[..., Settings],
        monkeypatch: pytest.MonkeyPatch,
        spent_s: float,
        left_s: float,
    ) -> None:
        now, asked = [100.0], list[dict[str, Any]]()

        def build() -> Any:
            now[0] += spent_s
            return SimpleNamespace(create_task=lambda _, **options: asked.append(options))

        monkeypatch.setattr(cloud_tasks, "time", SimpleNamespace(monotonic=lambda: now[0]))
        route = CloudTasksRoute(settings(WORKER_URL_BASE="https://w.example", TASKS_AUTH=SECRET), build)
        assert route.attempt(JOB, 5.0) == Attempt(Verdict.DELIVERED, "created")
        assert asked == [{"timeout": left_s, "retry": None}]

    @pytest.mark.usefixtures("stub")
    def test_every_call_is_authorised_by_credentials_made_for_several_threads(
        self, route: CloudTasksRoute, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authorised: list[str] = []
        real = credentials.OneAtATime.before_request

        def watched(self: credentials.OneAtATime, *about: Any) -> None:
            real(self, *about)
            authorised.append(about[-1]["authorization"])

        monkeypatch.setattr(credentials.OneAtATime, "before_request", watched)
        assert route.attempt(JOB, 5.0).delivered
        assert [each[:7] for each in authorised] == ["Bearer "]
        claims = jwt.decode(authorised[0][7:], verify=False)  # type: ignore[no-untyped-call]
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"


class TestCredentials:
    def test_what_they_are_asked_goes_to_the_inner_ones_as_it_is(self) -> None:
        class Inner:
            asked: ClassVar[list[tuple[object, ...]]] = []

            def before_request(self, *about: object) -> None:
                self.asked.append(about)

            def refresh(self, *about: object) -> None:
                self.asked.append(about)

        headers: dict[str, str] = {}
        shared, request = credentials.OneAtATime(Inner()), object()
        shared.before_request(request, "CreateTask", "https://x/", headers)
        shared.refresh(request)
        assert Inner.asked == [(request, "CreateTask", "https://x/", headers), (request,)]

    def test_two_first_calls_do_not_meet_in_credentials_that_are_not_made_for_it(self) -> None:
        both, met = threading.Barrier(2), []
        headers: list[dict[str, str]] = [{}, {}]

        class Inner(Credentials):
            def refresh(self, request: object) -> None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    both.wait(0.3)  # the second comes while the first is still in here, if it can
                    met.append(request)
                self.token = "t"

        shared = credentials.OneAtATime(Inner())  # type: ignore[no-untyped-call]
        threads = [
            threading.Thread(target=shared.before_request, args=(None, "CreateTask", "https://x/", mine))
            for mine in headers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert met == []
        assert headers == [{"authorization": "Bearer t"}] * 2

    def test_they_sign_for_the_clients_own_scope_and_ask_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(Identity(tmp_path).account))
        headers: dict[str, str] = {}
        credentials.default(["https://scope"]).before_request(None, "CreateTask", "https://x/", headers)
        claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), verify=False)  # type: ignore[no-untyped-call]
        assert (claims["iss"], claims["scope"]) == ("sa@proj.iam.gserviceaccount.com", "https://scope")


def test_an_error_without_a_code_proves_nothing() -> None:
    assert classify(RuntimeError("what?")) == Attempt(Verdict.AMBIGUOUS, "runtimeerror", "what?")
    assert classify(api_exceptions.RetryError("gave up", None)).verdict is Verdict.AMBIGUOUS  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("failed to connect to all addresses; last error: Connection refused", "connection-refused"),
        ("failed to connect to all addresses; last error: No route to host", "connect-failed"),
        ("DNS resolution failed for x:443", "dns"),
        ("Getting metadata from plugin failed with error: x", "credentials"),
    ],
)
def test_unavailable_is_certain_only_when_nothing_was_sent(text: str, reason: str) -> None:
    error = api_exceptions.ServiceUnavailable(text)  # type: ignore[no-untyped-call]
    assert classify(error) == Attempt(Verdict.REJECTED, reason, text)
    lost = api_exceptions.ServiceUnavailable("Socket closed")  # type: ignore[no-untyped-call]
    assert classify(lost).verdict is Verdict.AMBIGUOUS
