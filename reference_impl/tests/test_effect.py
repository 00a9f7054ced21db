"""One effect per job: in one process with real files and a real store."""

from __future__ import annotations

import hashlib
import threading
import time
import wave
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import SQLAlchemyError

from reference_impl import effect
from reference_impl.assembly import GivenBack, Media, UnusableInput
from reference_impl.effect import Effects, End, Outcome
from reference_impl.job import Job, Route
from reference_impl.shutdown import Shutdown
from reference_impl.store import Claim
from reference_impl.tests.processes import manifests, wait_until
from reference_impl.tests.stores import found

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_impl.store import Store

JOB = Job("j1", "ep1", "c1")


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    store = make_store(lease_s=0.4)
    store.add(JOB)
    return store


@pytest.fixture
def shutdown() -> Shutdown:
    return Shutdown(grace_s=0.2)


@pytest.fixture
def effects(store: Store, media: Path, shutdown: Shutdown) -> Callable[..., Effects]:
    def make(role: str = "api", *, bytes_per_s: int = 0, assembly_max_s: float = 60) -> Effects:
        slow = Media(media, bytes_per_s=bytes_per_s)
        return Effects(store, slow, role=role, assembly_max_s=assembly_max_s, shutdown=shutdown)

    return make


def in_thread(work: Callable[[], Outcome]) -> tuple[threading.Thread, list[Outcome]]:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(work()))
    thread.start()
    return thread, outcomes


def test_the_segments_are_joined_in_order_of_their_names(
    effects: Callable[..., Effects], media: Path
) -> None:
    outcome = effects().perform(JOB, Route.INLINE, wait_s=0)
    folder = media / "episodes/ep1"
    with wave.open(str(folder / "assembled/j1.1.wav")) as result:
        joined = result.readframes(result.getnframes())
    parts = b""
    for name in ("00.wav", "01.wav"):
        with wave.open(str(folder / "segments" / name)) as segment:
            parts += segment.readframes(segment.getnframes())
    assert joined == parts
    (manifest,) = manifests(media, "j1")
    checksum = hashlib.sha256((folder / "assembled/j1.1.wav").read_bytes()).hexdigest()
    assert (outcome, manifest["checksum"]) == (Outcome(End.DONE, checksum), checksum)
    assert (manifest["frames"], manifest["route"], manifest["role"]) == (1600, "inline", "api")
    assert sorted(path.name for path in (folder / "assembled").iterdir()) == ["j1.1.json", "j1.1.wav"]


def test_the_result_is_the_same_on_every_route(effects: Callable[..., Effects], store: Store) -> None:
    checksums = set()
    for number, route in enumerate(Route):
        job = Job(f"same{number}", "ep1", "c1", title=f"title {number}")
        store.add(job)
        checksums.add(effects().perform(job, route, wait_s=0).checksum)
    assert len(checksums) == 1


def test_a_second_attempt_returns_the_first_ones_result(effects: Callable[..., Effects], media: Path) -> None:
    first = effects("worker").perform(JOB, Route.CLOUD_TASKS, wait_s=0)
    second = effects().perform(JOB, Route.INLINE, wait_s=0)
    assert second == Outcome(End.DONE, first.checksum, repeated=True)
    assert len(manifests(media, "j1")) == 1


def test_attempts_at_the_same_time_wait_for_the_first(effects: Callable[..., Effects], media: Path) -> None:
    slow = effects("worker", bytes_per_s=4000)  # 0.8 s, twice the lease: its heartbeat keeps it
    running = [in_thread(lambda: slow.perform(JOB, Route.WORKER_DIRECT, wait_s=20)) for _ in range(3)]
    for thread, _ in running:
        thread.join()
    outcomes = [outcome for _, (outcome,) in running]
    assert {outcome.end for outcome in outcomes} == {End.DONE}
    assert sorted(outcome.repeated for outcome in outcomes) == [False, True, True]
    assert len(manifests(media, "j1")) == 1


def test_waiting_is_bounded(effects: Callable[..., Effects], store: Store) -> None:
    assert store.claim("j1", "cloud_tasks")
    assert effects().perform(JOB, Route.INLINE, wait_s=0) == Outcome(End.BUSY, reason="claimed-elsewhere")


def test_who_waits_looks_once_more_when_the_time_is_up(
    effects: Callable[..., Effects], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.claim("j1", "cloud_tasks")
    now, waits = [100.0], list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += 0.5

    monkeypatch.setattr(effect, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=wait))
    assert effects().perform(JOB, Route.INLINE, wait_s=1).end is End.BUSY
    assert waits == [0.05] * 3


def test_who_comes_first_looks_for_nothing_that_a_predecessor_left(
    effects: Callable[..., Effects], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Job] = []
    monkeypatch.setattr(Media, "published", lambda _, job: looked.append(job))
    assert effects().perform(JOB, Route.INLINE, wait_s=0).end is End.DONE
    assert looked == []


def test_who_waits_takes_over_when_the_holder_died(
    effects: Callable[..., Effects], store: Store, media: Path
) -> None:
    assert store.claim("j1", "cloud_tasks")  # and no heartbeat: it died
    outcome = effects().perform(JOB, Route.INLINE, wait_s=10)
    assert (outcome.end, outcome.repeated) == (End.DONE, False)
    assert [manifest["route"] for manifest in manifests(media, "j1")] == ["inline"]


def test_who_was_overtaken_publishes_nothing(
    effects: Callable[..., Effects], store: Store, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "extend", lambda _: True)  # it believes it still holds the lease
    overtaken: list[Outcome] = []
    real = Media.assemble

    def be_overtaken(self: Media, job: Job, attempt: int, check: Callable[[], None]) -> object:
        draft = real(self, job, attempt, check)
        if attempt == 1:
            overtaken.append(effects("worker").perform(JOB, Route.CLOUD_TASKS, wait_s=10))
        return draft

    monkeypatch.setattr(Media, "assemble", be_overtaken)
    outcome = effects().perform(JOB, Route.INLINE, wait_s=0)
    assert outcome == Outcome(End.NOT_DONE, reason="lease-lost")
    assert overtaken[0].end is End.DONE
    assert [manifest["role"] for manifest in manifests(media, "j1")] == ["worker"]
    assert not list(media.glob("**/*.tmp"))


@pytest.mark.parametrize(
    "died", ["before anything was visible", "between file and manifest", "before recording it"]
)
def test_what_a_dead_predecessor_left_is_adopted_or_removed(
    effects: Callable[..., Effects], store: Store, media: Path, died: str
) -> None:
    claim = store.claim("j1", "cloud_tasks")
    assert claim
    draft = Media(media).assemble(JOB, claim.attempt, lambda: None)
    draft.describe(route="cloud_tasks", role="worker")
    if died == "between file and manifest":
        draft.hidden.rename(draft.folder / "j1.1.wav")
    if died == "before recording it":
        draft.publish()
    outcome = effects().perform(JOB, Route.INLINE, wait_s=10)
    adopted = died == "before recording it"
    assert outcome == Outcome(End.DONE, draft.checksum, repeated=adopted)
    number = 1 if adopted else 2
    assert sorted(path.name for path in draft.folder.iterdir()) == [f"j1.{number}.json", f"j1.{number}.wav"]
    record = found(store)
    assert (record.state, record.output) == ("done", f"episodes/ep1/assembled/j1.{number}.wav")
    assert record.route == ("cloud_tasks" if adopted else "inline")


@pytest.mark.parametrize("name", ["00.wav", "01.wav"])
@pytest.mark.parametrize("broken", [b"not a WAV file", b"", b"RIFF\x24\0\0\0WAVEfmt "])
def test_segments_that_can_never_be_joined_end_the_job(
    effects: Callable[..., Effects], media: Path, broken: bytes, name: str
) -> None:
    (media / "episodes/ep1/segments" / name).write_bytes(broken)
    outcome = effects().perform(JOB, Route.INLINE, wait_s=0)
    assert (outcome.end, outcome.reason) == (End.FAILED, "unusable-input")
    assert name in outcome.detail
    again = effects().perform(JOB, Route.CLOUD_TASKS, wait_s=0)
    assert again == outcome._replace(repeated=True)
    assert not list(media.glob("**/*.tmp"))


def test_who_was_overtaken_cannot_end_the_job_as_failed(
    effects: Callable[..., Effects], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_overtaken(*_: object) -> None:
        assert effects("worker").perform(JOB, Route.CLOUD_TASKS, wait_s=10).end is End.DONE
        raise UnusableInput("a segment was just being replaced")

    with monkeypatch.context() as slow:
        slow.setattr(store, "extend", lambda _: True)  # it believes it still holds the lease
        real = Media.assemble
        slow.setattr(Media, "assemble", lambda *a: be_overtaken() if a[2] == 1 else real(*a))
        assert effects().perform(JOB, Route.INLINE, wait_s=0) == Outcome(End.NOT_DONE, reason="lease-lost")


def test_a_bug_gives_the_job_back(effects: Callable[..., Effects], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Media, "assemble", lambda *_: 1 / 0)
    outcome = effects().perform(JOB, Route.INLINE, wait_s=0)
    assert outcome == Outcome(End.NOT_DONE, reason="ZeroDivisionError", detail="division by zero")


def test_a_full_disk_gives_the_job_back(
    effects: Callable[..., Effects], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Media, "assemble", full)
        outcome = effects().perform(JOB, Route.INLINE, wait_s=0)
    assert outcome == Outcome(End.NOT_DONE, reason="os-error", detail="[Errno 28] No space left on device")
    assert found(store).error == "[Errno 28] No space left on device"
    assert effects().perform(JOB, Route.INLINE, wait_s=0).end is End.DONE  # at once, not after the lease


def test_shutting_down_gives_the_job_back_after_the_grace_period(
    effects: Callable[..., Effects], store: Store, shutdown: Shutdown, media: Path
) -> None:
    slow = effects(bytes_per_s=100)  # 32 s
    thread, outcomes = in_thread(lambda: slow.perform(JOB, Route.INLINE, wait_s=0))
    wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
    began = time.monotonic()
    shutdown.begin()
    thread.join()
    assert 0.15 < time.monotonic() - began < 5
    assert outcomes == [Outcome(End.NOT_DONE, reason="shutting-down")]
    assert found(store).error == "shutting-down"
    assert store.claim("j1", "inline")
    assert not list(media.glob("**/*.tmp"))


def test_who_waits_goes_at_once_when_the_process_shuts_down(
    effects: Callable[..., Effects], store: Store, shutdown: Shutdown
) -> None:
    assert store.claim("j1", "cloud_tasks")
    shutdown.begin()
    assert effects().perform(JOB, Route.INLINE, wait_s=60).end is End.BUSY


def test_an_assembly_that_takes_too_long_is_given_back(effects: Callable[..., Effects]) -> None:
    outcome = effects(bytes_per_s=100, assembly_max_s=0.3).perform(JOB, Route.INLINE, wait_s=0)
    assert outcome == Outcome(End.NOT_DONE, reason="assembly-took-too-long")


def test_an_assembly_that_learns_that_it_lost_the_lease_stops(
    effects: Callable[..., Effects], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "extend", lambda _: False)
    outcome = effects(bytes_per_s=100).perform(JOB, Route.INLINE, wait_s=0)
    assert outcome == Outcome(End.NOT_DONE, reason="lease-lost")


def test_the_callers_check_interrupts_an_assembly(media: Path) -> None:
    def interrupt() -> None:
        raise GivenBack("enough")

    with pytest.raises(GivenBack):
        Media(media).assemble(JOB, 1, interrupt)
    assert not list(media.glob("**/*.tmp"))


class TestHeartbeat:
    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [100.0]
        monkeypatch.setattr(effect, "time", SimpleNamespace(monotonic=lambda: now[0]))
        return now

    @pytest.fixture
    def heartbeat(self, store: Store, now: list[float]) -> effect._Heartbeat:  # noqa: ARG002 - it begins then
        claim = store.claim("j1", "inline")
        assert claim
        return effect._Heartbeat(store, claim, 0.2)

    def test_four_times_in_a_term_and_until_its_deadline_it_extends_the_lease(
        self,
        heartbeat: effect._Heartbeat,
        store: Store,
        now: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        waits, extended = list[float](), list[float]()

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            assert len(waits) < 9
            now[0] = 100 + len(waits) / 10
            return False

        def extend(_: object) -> bool:
            extended.append(now[0])
            if len(extended) == 1:
                raise SQLAlchemyError("the database is away for a moment")
            return True

        monkeypatch.setattr(heartbeat._stop, "wait", wait)
        monkeypatch.setattr(store, "extend", extend)
        heartbeat._deadline = 100.3
        heartbeat._beat()
        assert waits == [0.1] * 3
        assert extended == [100.1, 100.2]
        heartbeat.check()  # its last moment is not too late
        now[0] = 100.4
        with pytest.raises(GivenBack, match=r"^assembly-took-too-long$"):
            heartbeat.check()

    def test_it_ends_when_it_is_told_to(
        self, heartbeat: effect._Heartbeat, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "extend", lambda _: pytest.fail("nothing to extend any more"))
        heartbeat._stop.set()
        heartbeat._beat()
        heartbeat.check()

    def test_it_notices_that_the_lease_is_lost(
        self, heartbeat: effect._Heartbeat, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []
        monkeypatch.setattr(store, "extend", asked.append)
        heartbeat._beat()
        assert asked == [Claim("j1", 1)]
        with pytest.raises(GivenBack, match=r"^lease-lost$"):
            heartbeat.check()

    def test_its_thread_bears_the_jobs_name_and_keeps_no_process_alive(
        self, heartbeat: effect._Heartbeat
    ) -> None:
        with heartbeat:
            threads = {thread.name: thread.daemon for thread in threading.enumerate()}
        assert threads["lease-j1"] is True
        assert "lease-j1" not in {thread.name for thread in threading.enumerate()}
