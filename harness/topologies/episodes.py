"""Test data: episodes of a few small WAV segments, and what a correct assembly of them sounds like."""

from __future__ import annotations

import functools
import hashlib
import math
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

_RATE_HZ = 8_000
_SEGMENT_S = 0.05
_SEGMENTS = 3


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode in storage: its id, and the SHA-256 of its segments' audio frames, joined."""

    episode_id: str
    audio: str


def make(storage: Path, segment: str, episode_id: str, *, at_least_s: float = 0.0) -> Episode:
    """Write an episode's segments, each a tone of its own so that a wrong order is heard.

    Args:
        storage: the root of the storage.
        segment: where a segment goes, with ``{episode_id}`` and ``{number}``.
        episode_id: the episode's id.
        at_least_s: how long it is to be.
    """
    times = max(1, math.ceil(at_least_s / (_SEGMENTS * _SEGMENT_S)))
    digest = hashlib.sha256()
    for number in range(1, _SEGMENTS + 1):
        frames = _tone(hertz=220 * number + sum(episode_id.encode()) % 97) * times
        path = storage / segment.format(episode_id=episode_id, number=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(_RATE_HZ)
            file.writeframes(frames)
        digest.update(frames)
    return Episode(episode_id, digest.hexdigest())


def has_begun(storage: Path, segment: str, episode_id: str) -> bool:
    """Whether somebody has written a file of the episode beside its segments: its assembly has begun."""
    ours = {storage / segment.format(episode_id=episode_id, number=n) for n in range(1, _SEGMENTS + 1)}
    return any(
        episode_id in path.as_posix() and path not in ours and path.is_file() for path in storage.rglob("*")
    )


def audio_of(path: Path) -> str:
    """SHA-256 of a WAV file's audio frames, or a text that says why there are none."""
    try:
        with wave.open(str(path), "rb") as file:
            return hashlib.sha256(file.readframes(file.getnframes())).hexdigest()
    except (OSError, EOFError, wave.Error) as problem:
        return f"unreadable: {problem}"


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, or a text that says why there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        return f"unreadable: {problem}"


@functools.cache  # there are 97 times three of them
def _tone(hertz: float) -> bytes:
    count = int(_RATE_HZ * _SEGMENT_S)
    samples = (int(12_000 * math.sin(2 * math.pi * hertz * i / _RATE_HZ)) for i in range(count))
    return struct.pack(f"<{count}h", *samples)
