"""The job itself: joins an episode's WAV segments into one file, and makes the result visible in one step.

The result depends on the segments alone, so its checksum is the same whichever route and process made it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import wave
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_impl.job import Job

_CHUNK_FRAMES = 16_384
_UNKNOWN_BYTES = 0xFFFF_FFFF
"""The length that stands in a file whose writer could not go back to say it, as where ffmpeg writes to a pipe."""


class UnusableInput(Exception):  # noqa: N818 — it names what is wrong, as the standard library's KeyError does
    """The segments can never be assembled: none, not WAV, or of different formats."""


class GivenBack(Exception):  # noqa: N818 — not an error: the caller asked for it
    """The assembly was abandoned on request; nothing was published."""


class Result(NamedTuple):
    """One finished assembly, as its manifest says. `output` is relative to MEDIA_ROOT."""

    checksum: str
    output: str
    route: str


class Media:
    """The episodes under MEDIA_ROOT. `bytes_per_s` slows it down to spare the disk; 0 is full speed."""

    def __init__(self, root: Path, *, bytes_per_s: int = 0) -> None:
        self._root = root
        self._bytes_per_s = bytes_per_s

    def has_episode(self, episode_id: str) -> bool:
        """True when the episode has at least one segment."""
        return bool(self.segments(episode_id))

    def assemble(self, job: Job, attempt: int, check: Callable[[], None]) -> Draft:
        """Join the segments into a draft that nobody sees yet.

        `check` is called between chunks and may raise GivenBack. Raises UnusableInput, OSError.
        """
        segments = self.segments(job.episode_id)
        if not segments:
            raise UnusableInput(f"episode {job.episode_id} has no segments")
        folder = self._assembled(job.episode_id)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{job.job_id}.{attempt}"
        hidden = folder / f".{stem}.wav.tmp"
        try:
            frames = self._join(segments, hidden, check)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        return Draft(job, folder, stem, hidden, _sha256(hidden), frames, self._root)

    def published(self, job: Job) -> Result | None:
        """The job's result when an earlier attempt published it and died before it could say so."""
        for manifest in sorted(self._assembled(job.episode_id).glob(f"{job.job_id}.*.json")):
            found = json.loads(manifest.read_text(encoding="utf-8"))
            output = manifest.with_suffix(".wav").relative_to(self._root)
            return Result(found["checksum"], str(output), found["route"])
        return None

    def sweep(self, job: Job, attempt: int) -> None:
        """Remove what earlier attempts of a job that has no result left behind."""
        folder = self._assembled(job.episode_id)
        for stem in (f"{job.job_id}.{number}" for number in range(1, attempt)):
            for name in (f".{stem}.wav.tmp", f".{stem}.json.tmp", f"{stem}.wav"):
                (folder / name).unlink(missing_ok=True)

    def segments(self, episode_id: str) -> list[Path]:
        """The episode's segments, in the order of their names."""
        return sorted((self._root / "episodes" / episode_id / "segments").glob("*.wav"))

    def _assembled(self, episode_id: str) -> Path:
        return self._root / "episodes" / episode_id / "assembled"

    def _join(self, segments: list[Path], target: Path, check: Callable[[], None]) -> int:
        form = _common_format(segments)
        frame_bytes = form.channels * form.sample_bytes
        frames = 0
        began = time.monotonic()
        with target.open("wb") as file:
            with wave.open(file, "wb") as output:
                output.setnchannels(form.channels)
                output.setsampwidth(form.sample_bytes)
                output.setframerate(form.rate_hz)
                for segment in segments:
                    for chunk in _chunks(segment):
                        check()
                        output.writeframesraw(chunk)
                        frames += len(chunk) // frame_bytes
                        self._pace(began, frames * frame_bytes, check)
            file.flush()
            os.fsync(file.fileno())
        return frames

    def _pace(self, began: float, written: int, check: Callable[[], None]) -> None:
        if not self._bytes_per_s:
            return
        while (ahead_s := began + written / self._bytes_per_s - time.monotonic()) > 0:
            time.sleep(min(ahead_s, 0.05))
            check()


class _Format(NamedTuple):
    channels: int
    sample_bytes: int
    rate_hz: int


def _common_format(segments: list[Path]) -> _Format:
    """The format that all segments have. Raises UnusableInput."""
    first: _Format | None = None
    for segment in segments:
        with _open_wav(segment) as source:
            form = _Format(source.getnchannels(), source.getsampwidth(), source.getframerate())
        first = first or form
        if form != first:
            raise UnusableInput(f"{segment.name} is {form}, not {first} like {segments[0].name}")
    assert first is not None, "there is at least one segment"
    return first


def _chunks(segment: Path) -> Iterator[bytes]:
    """The samples of a segment. Raises UnusableInput, in the end, where it was cut off."""
    with _open_wav(segment) as source:
        frame_bytes = source.getnchannels() * source.getsampwidth()
        promised, found = source.getnframes() * frame_bytes, 0
        while chunk := source.readframes(_CHUNK_FRAMES):
            found += len(chunk)
            yield chunk
    if found < promised < _UNKNOWN_BYTES - frame_bytes:
        raise UnusableInput(f"{segment.name} is cut off: {promised - found} of {promised} bytes are missing")
    if found % frame_bytes:
        raise UnusableInput(f"{segment.name} ends in the middle of a frame")


@contextmanager
def _open_wav(segment: Path) -> Iterator[wave.Wave_read]:
    try:
        with wave.open(str(segment), "rb") as source:
            yield source
    except (wave.Error, EOFError) as error:
        raise UnusableInput(f"{segment.name} is not a WAV file: {error}") from error


class Draft(NamedTuple):
    """A joined file that is complete and on disk, but not visible."""

    job: Job
    folder: Path
    stem: str
    hidden: Path
    checksum: str
    frames: int
    root: Path

    @property
    def output(self) -> str:
        """Where the file will be, relative to MEDIA_ROOT."""
        return str((self.folder / f"{self.stem}.wav").relative_to(self.root))

    def describe(self, *, route: str, role: str) -> None:
        """Write the manifest, not visible yet. Raises OSError."""
        manifest = {
            "job_id": self.job.job_id,
            "episode_id": self.job.episode_id,
            "correlation_id": self.job.correlation_id,
            "checksum": self.checksum,
            "frames": self.frames,
            "route": route,
            "role": role,
            "pid": os.getpid(),
            "finished_at": time.time(),
        }
        with self._hidden_manifest.open("w", encoding="utf-8") as file:
            json.dump(manifest, file)
            file.flush()
            os.fsync(file.fileno())

    def publish(self) -> None:
        """Make the file visible, then its manifest: its appearance is the effect. Raises OSError."""
        self.hidden.rename(self.folder / f"{self.stem}.wav")
        self._hidden_manifest.rename(self.folder / f"{self.stem}.json")
        _sync_folder(self.folder)

    def discard(self) -> None:
        """Remove what is still hidden: the attempt lost its lease, or failed."""
        with suppress(OSError):
            self.hidden.unlink(missing_ok=True)
            self._hidden_manifest.unlink(missing_ok=True)

    @property
    def _hidden_manifest(self) -> Path:
        return self.folder / f".{self.stem}.json.tmp"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new names survive a power cut, as fsync on a file does not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
