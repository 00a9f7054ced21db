from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracles.secrets import hunt, mask
from harness.tests.build import SECRET

# As a system plants them: long, random, with characters that encodings change.
SECRETS = st.text('abcXYZ0189+/&=_- "\\é', min_size=12, max_size=40).map(lambda text: "s3cr3t/" + text)


def leaks(text: str, secret: str = SECRET) -> str:
    finding = hunt([("a log line of the api", text)], [secret])
    if finding is None:
        return ""
    assert finding.oracle == "secrets"
    assert secret not in str(finding)
    return finding.observed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"auth={SECRET}!", "plain"),
        (quote(SECRET, safe=""), "URL-encoded"),
        (quote(SECRET), "URL-encoded"),  # leaves the slash, as most libraries do in a query
        (SECRET.replace("/", "%2f").replace("+", "%2b").replace("&", "%26"), "URL-encoded"),
        (SECRET.replace("/", r"\/"), "JSON-escaped"),
        (SECRET.replace("&", r"\u0026"), "JSON-escaped"),
        (SECRET.replace("+", r"\u002B"), "JSON-escaped"),
        (json.dumps(json.dumps({"x": SECRET.replace("&", r"\u0026")})), "JSON-escaped"),
        (base64.b64encode(SECRET.encode()).decode(), "base64"),
        (base64.urlsafe_b64encode(b"\xfb\xff" + SECRET.encode()).decode(), "base64"),
    ],
)
def test_each_spelling_is_found_under_its_name(text: str, name: str) -> None:
    assert leaks(text).startswith(name)


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"use"])
@pytest.mark.parametrize("after", [b"", b"x", b"xy", b"xyz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_at_every_offset(before: bytes, after: bytes, encode: object) -> None:
    assert callable(encode)
    text = encode(before + SECRET.encode() + after).decode()

    assert leaks(text) == f"base64 (offset {len(before) % 3}) in a log line of the api"


@given(SECRETS, st.binary(max_size=20), st.binary(max_size=20))
def test_base64_of_any_bytes_around_a_secret(secret: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()

    assert leaks(f"x {text} y", secret)
    assert leaks(base64.urlsafe_b64encode(before + secret.encode() + after).decode(), secret)


@given(SECRETS, st.text(), st.text())
def test_every_spelling_within_any_text_is_found_and_masked(secret: str, before: str, after: str) -> None:
    spellings = [
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    ]
    for spelling in spellings:
        text = before + spelling + after
        assert leaks(text, secret)
        assert not leaks(mask(text, [secret]), secret)
        assert secret not in mask(text, [secret])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INFO: Uvicorn running",
        SECRET[:-1],
        SECRET[1:],
        SECRET.upper(),
        SECRET.swapcase(),
        base64.b64encode(b"something else of about the same length").decode(),
        base64.b64encode(SECRET[:10].encode()).decode(),
        "[secret]",
        "[SECRET]",
    ],
)
def test_no_false_alarm(text: str) -> None:
    assert leaks(text) == ""
    assert mask(text, [SECRET]) == text


@pytest.mark.parametrize("short", ["ab", "abc", "abcd"])
def test_a_short_secret_is_not_found_in_unrelated_base64(short: str) -> None:
    text = "".join(base64.b64encode(bytes([n, n + 1, n + 2])).decode() for n in range(120, 250))

    assert "base64" not in leaks(text, short)


def test_no_secret_means_nothing_to_find() -> None:
    assert hunt([("x", "anything")], []) is None
    assert hunt([("x", "anything")], [""]) is None
    assert mask("anything", [""]) == "anything"


def test_each_place_is_named_once() -> None:
    texts = [("a log line of the api", SECRET + SECRET), ("an answer of the api", SECRET), ("a URL", "fine")]

    finding = hunt(texts, ["other-secret-of-this-run", SECRET])

    assert finding is not None
    assert finding.observed == "plain in a log line of the api; plain in an answer of the api"
    assert finding.expected == "the secret nowhere in what the dispatcher writes or answers"


def test_texts_are_read_once_for_all_secrets() -> None:
    texts = iter([("here", "first-secret-1"), ("there", "second-secret-2")])

    finding = hunt(texts, ["first-secret-1", "second-secret-2"])

    assert finding is not None
    assert finding.observed == "plain in here; plain in there"


def test_masking_keeps_json_readable() -> None:
    document = {"a": SECRET, "b": [f"x{SECRET}y"], "c": json.dumps({"auth": SECRET})}

    masked = json.loads(mask(json.dumps(document), [SECRET]))

    assert masked == {"a": "[secret]", "b": ["x[secret]y"], "c": '{"auth": "[secret]"}'}


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    assert mask("long-secret-value", ["secret", "long-secret-value"]) == "[secret]"
