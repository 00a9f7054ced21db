"""The pump on real pipes: no process, no socket."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.clock import Deadline, wait
from harness.errors import HarnessError
from harness.logs.capture import LogPump, Stream, fill

WITHIN_S = 10


@pytest.fixture
def pump() -> Iterator[LogPump]:
    pump = LogPump()
    yield pump
    pump.close()


class Pipe:
    """A pipe into a pump, and the lines that came out."""

    def __init__(self, pump: LogPump, on_line: Callable[[str], None] | None = None) -> None:
        reader, self.fd = os.pipe2(os.O_CLOEXEC)
        self.lines: list[str] = []
        self.stream: Stream = pump.read(reader, on_line or self.lines.append)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def end(self) -> list[str]:
        os.close(self.fd)
        assert self.stream.ended.wait(WITHIN_S)
        return self.lines

    def has(self, count: int) -> None:
        wait(lambda: len(self.lines) >= count or None, Deadline(WITHIN_S), lambda: f"saw {self.lines}")


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b"\n\nx\n", ["", "", "x"]),
        (b"crlf\r\ncr\rinside\r\r\nlast\r", ["crlf", "cr\rinside\r", "last"]),
        ("Grüße → \N{GRINNING FACE}\n".encode(), ["Grüße → \N{GRINNING FACE}"]),
        (b"a\xff\xfeb\n\xc3\n", ["a\\xff\\xfeb", "\\xc3"]),
        (b"\xed\xa0\x80\n", ["\\xed\\xa0\\x80"]),
        (b"nul\0form\x0cfeed\x1c\xe2\x80\xa8\n", ["nul\0form\x0cfeed\x1c\u2028"]),
    ],
)
def test_lines(pump: LogPump, written: bytes, lines: list[str]) -> None:
    pipe = Pipe(pump)
    pipe.write(written)

    assert pipe.end() == lines


def test_a_line_is_handed_on_when_its_end_arrives(pump: LogPump) -> None:
    pipe = Pipe(pump)
    pipe.write(b"first\nGr" + b"\xc3")  # half of a character
    pipe.has(1)
    assert pipe.lines == ["first"]

    pipe.write(b"\xbc\xc3\x9fe\nlast")
    pipe.has(2)
    assert pipe.lines == ["first", "Grüße"]
    assert pipe.end() == ["first", "Grüße", "last"]


def test_a_long_line_is_kept_whole(pump: LogPump) -> None:
    pipe = Pipe(pump)
    pipe.write(b"x" * 700_000 + b"\nnext\n")

    assert [len(line) for line in pipe.end()] == [700_000, 4]


def test_a_line_without_an_end_does_not_fill_the_memory(pump: LogPump) -> None:
    pipe = Pipe(pump)
    pipe.write(b"x" * 3_500_000 + b"\nnext\n")

    lines = pipe.end()
    assert sum(map(len, lines[:-1])) == 3_500_000
    assert max(map(len, lines)) < 1_200_000
    assert lines[-1] == "next"


def test_many_streams_at_once_are_kept_apart(pump: LogPump) -> None:
    pipes = [Pipe(pump) for _ in range(40)]

    def work(mine: list[tuple[int, Pipe]]) -> None:
        for n in range(50):
            for number, pipe in mine:
                pipe.write(f"{number}: {n}\n".encode())

    numbered = list(enumerate(pipes))
    threads = [threading.Thread(target=work, args=(numbered[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    for number, pipe in numbered:
        assert pipe.end() == [f"{number}: {n}" for n in range(50)]


def test_a_stream_ends_with_its_last_writer(pump: LogPump) -> None:
    pipe = Pipe(pump)
    second = os.dup(pipe.fd)
    os.close(pipe.fd)
    os.write(second, b"still here\n")
    pipe.has(1)
    ended_before = pipe.stream.ended.is_set()
    os.close(second)

    assert pipe.stream.ended.wait(WITHIN_S)
    assert not ended_before


def test_bytes_are_unread_until_their_lines_are_recorded(pump: LogPump) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slowly(_: str) -> None:
        inside.set()
        go_on.wait(WITHIN_S)

    pipe = Pipe(pump, slowly)
    looks = [pipe.stream.unread]
    pipe.write(b"line\n")
    assert inside.wait(WITHIN_S)
    looks.append(pipe.stream.unread)  # out of the pipe, and not recorded
    pipe.write(b"another\n")
    looks.append(pipe.stream.unread)
    go_on.set()
    wait(lambda: True if not pipe.stream.unread else None, Deadline(WITHIN_S), lambda: "still unread")
    pipe.end()
    looks.append(pipe.stream.unread)

    assert looks == [False, True, True, False]


def test_a_last_line_without_an_end_is_unread_until_it_is_recorded(pump: LogPump) -> None:
    seen: list[bool] = []
    pipe = Pipe(pump, lambda _: seen.append(pipe.stream.unread))
    pipe.write(b"no end")
    pipe.end()

    assert seen == [True]
    assert not pipe.stream.unread


def test_part_of_a_line_is_not_unread(pump: LogPump) -> None:
    pipe = Pipe(pump)
    pipe.write(b"no end yet")
    wait(lambda: True if not pipe.stream.unread else None, Deadline(WITHIN_S), lambda: "still unread")

    assert pipe.lines == []
    assert pipe.end() == ["no end yet"]


def test_a_reader_of_lines_that_raises_does_not_stop_the_others(pump: LogPump) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("a bug")

    bad, good = Pipe(pump, broken), Pipe(pump)
    bad.write(b"x\n")
    os.close(bad.fd)
    good.write(b"y\n")

    assert good.end() == ["y"]
    assert bad.stream.ended.wait(WITHIN_S)
    with pytest.raises(HarnessError, match="a bug"):
        _ = bad.stream.unread


def test_close_ends_streams_that_are_open() -> None:
    pump = LogPump()
    pipe = Pipe(pump)
    pipe.write(b"rest")
    wait(lambda: True if not pipe.stream.unread else None, Deadline(WITHIN_S), lambda: "still unread")

    pump.close()

    assert pipe.stream.ended.is_set()
    assert pipe.lines == ["rest"]
    os.close(pipe.fd)


def test_a_closed_pump_reads_nothing() -> None:
    pump = LogPump()
    pump.close()
    reader, writer = os.pipe2(os.O_CLOEXEC)

    with pytest.raises(HarnessError, match="closed"):
        pump.read(reader, print)
    os.close(reader)
    os.close(writer)


def test_a_reader_that_hangs_up_makes_the_next_write_fail(pump: LogPump) -> None:
    pipe, other = Pipe(pump), Pipe(pump)
    pipe.write(b"seen\n")
    pipe.has(1)
    pump.hang_up(pipe.stream)
    assert pipe.stream.ended.is_set()
    with pytest.raises(BrokenPipeError):
        os.write(pipe.fd, b"lost\n")
    pump.hang_up(pipe.stream)  # a second time does nothing
    os.close(pipe.fd)
    other.write(b"still read\n")
    assert other.end() == ["still read"]


def test_an_unread_pipe_is_full_and_loses_nothing(pump: LogPump) -> None:
    pipe = Pipe(pump)
    pipe.write(b"before\n")
    pipe.has(1)
    pump.pause(pipe.stream, paused=True)
    pump.pause(pipe.stream, paused=True)
    fill(pipe.stream)
    os.set_blocking(pipe.fd, False)
    with pytest.raises(BlockingIOError):
        os.write(pipe.fd, b"x")
    assert pipe.stream.unread
    pump.pause(pipe.stream, paused=False)
    wait(lambda: None if pipe.stream.unread else True, Deadline(WITHIN_S), lambda: "bytes are unread")
    os.set_blocking(pipe.fd, True)
    pipe.write(b"after\n")
    lines = pipe.end()
    assert [line for line in lines if line.strip()] == ["before", "after"]


def test_a_pump_that_is_closed_takes_no_orders() -> None:
    pump = LogPump()
    pipe = Pipe(pump)
    pump.close()
    pump.pause(pipe.stream, paused=True)
    pump.hang_up(pipe.stream)
    os.close(pipe.fd)
