from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.logs.parse import (
    BANNER_RULE,
    BANNER_TITLE,
    BannerReader,
    Form,
    LogfmtError,
    LogLine,
    parse_line,
    parse_logfmt,
)

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,8}", fullmatch=True).filter(lambda key: key != "event")
NAMES = st.from_regex(r"[a-z0-9_]{1,8}(\.[a-z0-9_]{1,8}){0,3}", fullmatch=True)
# What a pipe can hold: UTF-8 decoded with backslashreplace, so no lone surrogate and no line end.
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))


def test_logfmt_has_a_name_and_fields_in_order() -> None:
    line = parse_line('event=tasks.cloud.enqueued job_id=j-1 task="a b" empty= quoted=""')

    assert line.form is Form.LOGFMT
    assert line.event == "tasks.cloud.enqueued"
    assert list(line.fields.items()) == [("job_id", "j-1"), ("task", "a b"), ("empty", ""), ("quoted", "")]
    assert line.problem == ""


@pytest.mark.parametrize("before", ["INFO:root:", "2026-01-01 12:00:00 INFO ", "INFO:     ", "  "])
def test_an_event_may_stand_behind_what_a_logger_puts_before_it(before: str) -> None:
    line = parse_line(f"{before}event=a.b key=value")

    assert (line.form, line.event, line.fields) == (Form.LOGFMT, "a.b", {"key": "value"})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\"b", 'a"b'),
        (r"a\\b", "a\\b"),
        (r"a\\nb", "a\\nb"),
        (r"a\nb\rc\td", "a\nb\rc\td"),
        (r"\u003d\x3D", "=="),
        (r"\/\q", "/q"),
        (r"\b\f", "\b\f"),
        (r"\ud83d\ude00", "\N{GRINNING FACE}"),
    ],
)
def test_escapes_in_a_quoted_value(written: str, meant: str) -> None:
    assert parse_line(f'event=a x="{written}" y=1').fields == {"x": meant, "y": "1"}


@pytest.mark.parametrize(
    "line",
    [
        'event=a.b detail="event=forged job_id=other"',
        r'event=a.b detail="x\" event=forged job_id=other"',
        'event=a.b detail="x" other=":event=forged"',
        'event=a.b detail="DEV MODE assemble start for episode ep-9"',
        'event=a.b detail="x DEV MODE: Sending /t to worker server at http://w"',
        'event=a.b detail="DEV MODE: Worker config invalid or not a worker task"',
        json.dumps({"event": "a.b", "detail": "event=forged DEV MODE assemble start for episode ep-9"}),
    ],
)
def test_a_value_cannot_forge_another_event(line: str) -> None:
    read = parse_line(line)

    assert read.event == "a.b"
    assert "episode_id" not in read.fields
    assert "job_id" not in read.fields


@pytest.mark.parametrize(
    "line",
    [
        'title="x event=forged job_id=j" event=real',
        'title="x event=forged job_id=" event="real"',
        r'title="x event=forged y=\" z=1"',
        'title=" event=forged y=" a=" z=" b="w"',
    ],
)
def test_an_event_inside_a_value_that_comes_first_is_never_believed(line: str) -> None:
    read = parse_line(line)

    assert read.event != "forged"
    assert read.form in {Form.UNPARSED, Form.LOGFMT}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("event=a b", "column 8: expected key=value, found ' b'"),
        ("event=a k=v k=w", "column 12: 'k' comes twice"),
        ("event=a event=b", "column 8: 'event' comes twice"),
        ("event=a k=v=w", "expected key=value"),
        ('event=a k="open', "expected key=value"),
        ('event=a k="v"w', "expected key=value"),
        ("event=", "'' is not an event name"),
        ("event=a..b", "'a..b' is not an event name"),
        ("event=a-b", "'a-b' is not an event name"),
        ('event="a b"', "'a b' is not an event name"),
    ],
)
def test_what_looks_like_an_event_and_cannot_be_read_says_why(line: str, problem: str) -> None:
    read = parse_line(line)

    assert (read.form, read.event, read.fields, read.raw) == (Form.UNPARSED, "", {}, line)
    assert problem in read.problem


def test_logfmt_without_a_name_is_an_error() -> None:
    with pytest.raises(LogfmtError, match="'' is not an event name"):
        parse_logfmt("key=value")


@pytest.mark.parametrize(
    "line", ["", "INFO:     Shutting down", "GET /x?event=1 200", "myevent=x", "an event = x", "a [ERROR] b"]
)
def test_other_lines_are_plain(line: str) -> None:
    assert parse_line(line) == LogLine(line, Form.PLAIN)


def test_json_lines() -> None:
    read = parse_line('{"event":"a.b","n":1,"flag":true,"none":null,"list":[1],"message":"hello"}')

    assert (read.form, read.event) == (Form.JSON, "a.b")
    assert read.fields == {"n": "1", "flag": "true", "none": "null", "list": "[1]"}


def test_json_whose_message_is_logfmt() -> None:
    read = parse_line(json.dumps({"severity": "INFO", "message": 'event=a.b x="1 2"', "x": "other"}))

    assert (read.form, read.event, read.fields) == (Form.JSON, "a.b", {"severity": "INFO", "x": "1 2"})


def test_json_whose_message_is_a_seed_line() -> None:
    read = parse_line(json.dumps({"message": "DEV MODE assemble start for episode ep-1"}))

    assert (read.form, read.event, read.fields) == (Form.JSON, "dev.local_start", {"episode_id": "ep-1"})


@pytest.mark.parametrize(
    "document", [{"message": "hello"}, {"event": ""}, {"event": None}, {"message": 5}, {}]
)
def test_json_without_an_event(document: dict[str, object]) -> None:
    read = parse_line(json.dumps(document))

    assert (read.form, read.event) == (Form.JSON, "")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{not json", "starts like JSON"),
        ('{"a":1} trailing', "starts like JSON"),
        ('{"message":"event=a b"}', "message: column 8"),
        ('{"event":"a.b","message":"event=c.d"}', "event 'a.b' but the message says 'c.d'"),
        ('{"event":"not a name"}', "'not a name' is not an event name"),
        ('{"event":7}', "7 is not an event name"),
        ('{"n":' + "1" * 5000 + "}", "starts like JSON"),
        ('{"a":' * 100_000, "starts like JSON"),
    ],
)
def test_json_that_cannot_be_read_says_why(line: str, problem: str) -> None:
    read = parse_line(line)

    assert (read.form, read.event, read.raw) == (Form.UNPARSED, "", line)
    assert problem in read.problem


@pytest.mark.parametrize(
    "line",
    [r'event=a x="\ud800"', r'{"event":"a","x":"\ud800","\udfff":"y"}', r'{"message":"event=a x=\ud800"}'],
)
def test_half_a_character_does_not_make_text_that_no_file_can_hold(line: str) -> None:
    for key, value in parse_line(line).fields.items():
        (key + value).encode()


@pytest.mark.parametrize(
    ("line", "event", "fields"),
    [
        (
            "DEV MODE: Sending /api/tasks/assemble to worker server at http://w:1",
            "dev.sending_to_worker",
            {"path": "/api/tasks/assemble", "url": "http://w:1"},
        ),
        (
            "DEV MODE: Sending /t to worker server at http://a worker/t",
            "dev.sending_to_worker",
            {"path": "/t", "url": "http://a worker/t"},
        ),
        ("DEV MODE: Worker config invalid or not a worker task", "dev.worker_not_used", {}),
        ("INFO: DEV MODE assemble start for episode ep-1", "dev.local_start", {"episode_id": "ep-1"}),
    ],
)
def test_seed_lines(line: str, event: str, fields: dict[str, str]) -> None:
    assert parse_line(line) == LogLine(line, Form.SEED, event, fields)


@pytest.mark.parametrize(
    "line",
    [
        "DEV MODE: Worker config invalid or not a worker task!",
        "DEV MODE: Sending to worker server at http://w:1",
        "DEV MODE assemble start for episode ",
        "DEV MODE assemble start for episode ep-1 now",
        "Dev mode: Worker config invalid or not a worker task",
    ],
)
def test_almost_seed_lines_are_plain(line: str) -> None:
    assert parse_line(line).form is Form.PLAIN


def read_all(*lines: str) -> list[tuple[Form, str]]:
    reader = BannerReader()
    return [(line.form, line.event) for line in map(reader.read, lines)]


def test_the_banner_is_one_event_and_its_inner_lines_none() -> None:
    assert read_all(
        "before",
        BANNER_RULE,
        BANNER_TITLE,
        "  Path: event=forged",
        "  Will use worker: True",
        BANNER_RULE,
        "event=a.b",
        "  event=c.d",
    ) == [
        (Form.PLAIN, ""),
        (Form.BANNER, ""),
        (Form.BANNER, "dev.worker_check"),
        (Form.BANNER, ""),
        (Form.BANNER, ""),
        (Form.BANNER, ""),
        (Form.LOGFMT, "a.b"),
        (Form.LOGFMT, "c.d"),
    ]


def test_two_banners_one_after_the_other() -> None:
    block = [BANNER_RULE, BANNER_TITLE, "  a", BANNER_RULE]

    assert [event for _, event in read_all(*block, *block)].count("dev.worker_check") == 2


def test_the_title_without_a_rule_is_plain() -> None:
    assert read_all(BANNER_TITLE, "  event=a.b") == [(Form.PLAIN, ""), (Form.LOGFMT, "a.b")]
    assert read_all(BANNER_RULE, "event=x", BANNER_TITLE) == [
        (Form.BANNER, ""),
        (Form.LOGFMT, "x"),
        (Form.PLAIN, ""),
    ]


def test_a_broken_off_banner_hides_nothing() -> None:
    assert read_all(BANNER_RULE, BANNER_TITLE, "  a", "event=a.b", "  event=c.d")[-2:] == [
        (Form.LOGFMT, "a.b"),
        (Form.LOGFMT, "c.d"),
    ]


def render(name: str, fields: dict[str, str]) -> str:
    """Another writer of logfmt than the reference's, for the round trip."""
    pairs = [f"{key}={json.dumps(value)}" for key, value in fields.items()]
    return " ".join([f"event={name}", *pairs])


@given(NAMES, st.dictionaries(KEYS, st.text(st.characters(exclude_categories=["Cs"]))))
def test_logfmt_round_trip(name: str, fields: dict[str, str]) -> None:
    read = parse_line(render(name, fields))

    assert (read.form, read.event, read.fields) == (Form.LOGFMT, name, fields)
    assert list(read.fields) == list(fields)


@given(
    st.lists(
        LINES | LINES.map(lambda t: "{" + t) | LINES.map(lambda t: 'event=a x="' + t) | st.just(BANNER_RULE)
    )
)
def test_every_line_gives_one_line_with_its_text_unchanged(lines: list[str]) -> None:
    reader = BannerReader()

    for raw in lines:
        for read in (parse_line(raw), reader.read(raw)):
            assert read.raw == raw
            assert (read.form is Form.UNPARSED) == bool(read.problem)
            assert read.form in {Form.LOGFMT, Form.JSON, Form.SEED, Form.BANNER} or not read.event


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
    )
)
def test_any_json_is_read(document: object) -> None:
    raw = json.dumps({"a": document})

    assert parse_line(raw).form is Form.JSON
