"""What a log line looks like, and that nothing can forge or leak through one."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from google.api_core import exceptions as api_exceptions
from hypothesis import given
from hypothesis import strategies as st

from reference_impl import events, server_log
from reference_impl.job import Job
from reference_impl.log_format import LogSink, Redactor, logfmt
from reference_impl.routes.cloud_tasks import classify
from reference_impl.routes.direct_worker import classify as classify_http
from reference_impl.routes.direct_worker import judge_reply
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.settings import Settings

SECRET = "a b/c+d=e>>>?"
CLOUD_RUN = {"K_SERVICE": "api", "APP_ENV": "prod", "DATABASE_URL": "postgresql://h/d"}


@given(st.dictionaries(st.sampled_from(["reason", "detail", "url"]), st.text(max_size=80)))
def test_any_value_survives_and_stays_in_its_place(fields: dict[str, str]) -> None:
    line = logfmt({"event": "some.event", **fields})
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.count("event=") == 1
    assert parse_event(line) == {"event": "some.event", **fields}


def test_a_value_that_tries_to_be_an_event_is_quoted() -> None:
    line = logfmt({"event": "a", "detail": 'x"\nevent=assemble.inline.done\x1b[2J'})
    assert line == r'event=a detail="x\"\nevent\u003dassemble.inline.done\u001b[2J"'


def test_long_values_are_cut() -> None:
    assert len(logfmt({"detail": "x" * 100_000})) < 3000


@pytest.mark.parametrize(
    "shape",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        SECRET.replace("/", "\\/"),
        "".join(f"\\u{ord(char):04X}" for char in SECRET),
        html.escape(SECRET),
        "".join(f"&#{ord(char)};" for char in SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"worker:{SECRET} and so on".encode()).decode(),
        base64.b64encode(f"w-api:{SECRET}..".encode()).decode(),
    ],
    ids=(
        [
            "plain",
            "url",
            "url-path",
            "url-lower",
            "form",
            "json-slash",
            "json-unicode",
            "html",
            "html-numbers",
            "base64",
            "base64-url",
            "base64-inside",
            "base64-end",
        ]
    ),
)
@pytest.mark.parametrize("service", ["", "api"])
def test_the_secret_is_masked_in_every_shape(
    shape: str,
    service: str,
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    events.configure(settings(TASKS_AUTH=SECRET, K_SERVICE=service, APP_ENV="prod"))
    events.emit(events.REFUSED, reason="x", detail=f"<{shape}>")
    events.say(f"<{shape}>")
    out = capsys.readouterr().out
    assert "\\u003d" not in out
    assert shape not in out
    assert json.dumps(shape)[1:-1] not in out
    assert "***" in out


def test_a_secret_is_masked_before_a_value_is_cut(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """Or its first half would stand at the end of what was cut, and no pattern would know it."""
    events.configure(settings(TASKS_AUTH="open-sesame"))
    job = Job("j1", "e1", "c1")
    for padding in (*range(280, 310), *range(480, 510), *range(1980, 2010)):
        text = "x" * padding + "open-sesame"
        tasks = classify(api_exceptions.PermissionDenied(text))  # type: ignore[no-untyped-call]
        events.emit(events.ENQUEUE_FAILED, job, detail=tasks.detail)
        events.emit(events.WORKER_FAILED, job, detail=judge_reply(job, 500, text.encode()).detail)
        events.emit(events.WORKER_FAILED, job, detail=classify_http(RuntimeError(text)).detail)
    assert "open" not in capsys.readouterr().out


SECRETS = [SECRET, "open-sesame", "a b", "\xff\xfe?>~", "pässwörd/1", "<\U0001f511&'\">"]
SPELLINGS = [
    lambda char: char,
    lambda char: quote(char, safe=""),
    quote_plus,
    lambda char: json.dumps(char)[1:-1].replace("/", "\\/"),
    html.escape,
    lambda char: f"&#X{ord(char):X};",
    lambda char: ascii(char)[1:-1],
    lambda char: repr(char.encode())[2:-1],
]
AS_A_WHOLE = [
    base64.b64encode,
    base64.urlsafe_b64encode,
    lambda raw: base64.b64encode(b"w:" + raw + b".."),
    lambda raw: base64.urlsafe_b64encode(b"w" + raw),
]
SPELT = st.builds(
    lambda secret, spellings: "".join(
        each(char) for each, char in zip(spellings * len(secret), secret, strict=False)
    ),
    st.sampled_from(SECRETS),
    st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=5),
)
ENCODED = st.builds(
    lambda secret, encode: encode(secret.encode()).decode(),
    st.sampled_from(SECRETS),
    st.sampled_from(AS_A_WHOLE),
)


@given(
    st.lists(st.sampled_from(SECRETS), min_size=1, max_size=2),
    st.lists(st.one_of(SPELT, ENCODED, st.text("ab +-_/%\\=", max_size=5)), max_size=4),
)
def test_what_is_looked_for_first_lets_no_secret_pass(secrets: list[str], parts: list[str]) -> None:
    """The pattern alone finds no more than the pattern after the first look."""
    redact, text = Redactor(secrets), "".join(parts)
    assert redact(text) == redact._pattern.sub("***", text)


@given(SPELT)
def test_a_secret_is_masked_however_each_of_its_characters_is_written(text: str) -> None:
    """By a URL, a form, JSON, HTML, or Python's own ways of showing a text and its bytes."""
    assert set(Redactor(SECRETS)(text)) == {"*"}


def test_a_line_without_a_secret_needs_no_pattern() -> None:
    redact = Redactor([SECRET, "open-sesame"])
    assert (
        redact("event=assemble.job.settled route=cloud_tasks")
        == "event=assemble.job.settled route=cloud_tasks"
    )
    assert "_pattern" not in vars(redact)


def test_no_secret_masks_nothing() -> None:
    assert Redactor(["", ""])("anything") == "anything"


def test_each_sink_masks_all_of_its_own_secrets_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    """Sinks with the same secrets share how they are looked for."""
    for secrets in (["first-one", "second-one"], ["second-one", "first-one"], ["third-one"]):
        LogSink(secrets=secrets).write("first-one second-one third-one")

    assert capsys.readouterr().out.splitlines() == ["*** *** third-one"] * 2 + ["first-one second-one ***"]


def test_a_console_line_is_the_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job("j1", "e1", "c1", trace="a" * 32)
    events.emit(events.WORKER_FAILED, job, reason="timeout", detail="", verdict="ambiguous")
    assert capsys.readouterr().out == (
        "event=assemble.service.worker_direct_failed episode_id=e1 job_id=j1 correlation_id=c1 "
        "reason=timeout verdict=ambiguous\n"
    )


def test_under_cloud_run_each_line_is_one_object(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    events.configure(settings(**CLOUD_RUN, GOOGLE_CLOUD_PROJECT="proj"))
    events.emit(events.ENQUEUE_FAILED, Job("j1", "e1", "c1", trace="a" * 32), severity="ERROR", reason="x")
    events.say("line one", "line two")
    first, *plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["severity"] == "ERROR"
    assert first["message"].startswith("event=tasks.cloud.enqueue_failed episode_id=e1 job_id=j1")
    assert first["logging.googleapis.com/trace"] == f"projects/proj/traces/{'a' * 32}"
    assert (first["event"], first["correlation_id"]) == ("tasks.cloud.enqueue_failed", "c1")
    assert [entry["message"] for entry in plain] == ["line one", "line two"]


def test_without_a_project_the_trace_is_the_id_alone(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    events.configure(settings(**CLOUD_RUN))
    events.emit(events.WORKER_DONE, Job("j1", "e1", "c1", trace="a" * 32))
    assert json.loads(capsys.readouterr().out)["logging.googleapis.com/trace"] == "a" * 32


def test_json_fields_cannot_forge_an_event_for_a_search_in_raw_lines(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    events.configure(settings(**CLOUD_RUN))
    events.emit(events.REFUSED, reason="title", detail="event=assemble.inline.done")
    assert "event=assemble.inline" not in capsys.readouterr().out


def test_the_servers_own_lines_take_the_same_form(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("uvicorn.error")
    handler = logging.StreamHandler()
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", False)
    record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, "leaked %s", ("hush-hush",), None)

    server_log.configure(settings(TASKS_AUTH="hush-hush"))
    assert handler.format(record) == "leaked ***"

    server_log.configure(settings(TASKS_AUTH="hush-hush", K_SERVICE="api", APP_ENV="dev"))
    entry = json.loads(handler.format(record))
    assert (entry["severity"], entry["message"]) == ("ERROR", "leaked ***")
    assert logging.getLogger("uvicorn.access").disabled


def test_configuring_logs_what_was_odd(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    events.configure(settings(USE_WORKER_IN_DEV="perhaps", WORKER_URL_BASE="nowhere"))
    assert capsys.readouterr().out.splitlines() == [
        "event=config.invalid_boolean name=USE_WORKER_IN_DEV value=perhaps",
        "event=config.invalid_worker_url reason=no-scheme value=nowhere",
    ]


def test_the_catalogue_describes_every_event() -> None:
    assert all(
        event.when and event.severity in ("INFO", "WARNING", "ERROR") for event in events.CATALOGUE.values()
    )


def test_a_field_that_the_catalogue_does_not_know_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="has no field"):
        events.emit(events.ENTRY, colour="red")


def test_a_reader_of_the_log_that_goes_away_takes_nothing_with_it() -> None:
    program = (
        "import sys\n"
        "from reference_impl.log_format import LogSink\n"
        "sink = LogSink()\n"
        "sys.stdin.readline()\n"
        "for number in range(20_000): sink.line('INFO', 'x' * 100)\n"
        "sys.stderr.write('went on')\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, said = child.communicate(b"go\n", timeout=60)
    assert (child.returncode, said) == (0, b"went on")


def test_a_character_that_the_output_does_not_have_raises_nothing() -> None:
    program = "from reference_impl.log_format import LogSink; s = LogSink(); s.write('ü'); s.write('went on')"
    env = dict(os.environ) | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"went on\n"


def test_a_log_on_a_full_disk_raises_nothing() -> None:
    program = (
        "import os, sys; from reference_impl.log_format import LogSink; LogSink().line('INFO', 'lost');"
        "print('went on', file=sys.stderr, flush=True); os._exit(0)"
    )
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=descriptor, stderr=subprocess.PIPE, check=True, timeout=60
        )
    finally:
        os.close(descriptor)
    assert done.stderr == b"went on\n"
