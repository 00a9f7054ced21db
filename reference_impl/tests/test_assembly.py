"""Joining segments: what cannot be joined is said, with the segment's name, and leaves nothing behind."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import pytest

from reference_impl.assembly import Media, UnusableInput
from reference_impl.job import Job
from reference_impl.tests.conftest import write_episode

if TYPE_CHECKING:
    from pathlib import Path

JOB = Job("j1", "ep1", "c1")


@pytest.fixture
def segment(media: Path) -> Path:
    """The first of the two segments of the episode."""
    return media / "episodes/ep1/segments/00.wav"


def assemble(media: Path) -> int:
    """Assemble, and return how many frames came of it."""
    return Media(media).assemble(JOB, 1, lambda: None).frames


@pytest.mark.parametrize("missing", [1, 2, 7], ids="{}-bytes".format)
def test_a_segment_that_was_cut_off_is_not_taken_for_a_whole_one(
    media: Path, segment: Path, missing: int
) -> None:
    """Where half a frame is missing, all that is joined behind it would be noise."""
    segment.write_bytes(segment.read_bytes()[:-missing])

    with pytest.raises(UnusableInput, match=rf"00\.wav is cut off: {missing} of 1600 bytes are missing"):
        assemble(media)

    assert not list(media.glob("**/*.tmp"))


def test_who_writes_to_a_pipe_does_not_know_how_long_a_segment_will_be(media: Path, segment: Path) -> None:
    whole = assemble(media)
    content = bytearray(segment.read_bytes())
    for at in (4, content.index(b"data") + 4):  # how long the file is, and how long the samples
        content[at : at + 4] = b"\xff" * 4
    segment.write_bytes(content)

    assert assemble(media) == whole

    segment.write_bytes(content + b"\0")
    with pytest.raises(UnusableInput, match=r"00\.wav ends in the middle of a frame"):
        assemble(media)


def test_segments_of_different_formats_are_named(media: Path) -> None:
    with wave.open(str(media / "episodes/ep1/segments/01.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0" * 8)
    with pytest.raises(UnusableInput, match=r"01\.wav is .*channels=2.*, not .*channels=1.* like 00\.wav"):
        Media(media).assemble(JOB, 1, lambda: None)


def test_no_segments_are_unusable(tmp_path: Path) -> None:
    write_episode(tmp_path, "empty", segments=0)
    with pytest.raises(UnusableInput, match="no segments"):
        Media(tmp_path).assemble(Job("j", "empty", "c"), 1, lambda: None)
