"""Requests that the API refuses: each gets one clear answer, and leaves no job behind."""

from __future__ import annotations

import pytest

from harness import System, scenario


@scenario("PROD-INPUT-01", requires=["ONCE-01", "LOG-07"])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"{not json", "JSON"),
        (b"[]", "object"),
        (b'{"title": 7}', "title"),
        (b'{"title": "' + b"x" * 5_000 + b'"}', "title"),
    ],
    ids=["malformed", "not-an-object", "wrong-type", "too-long"],
)
def test_a_wrong_request_is_refused(prod: System, content: bytes, word: str) -> None:
    """A body that is wrong gets a 4xx that names what is wrong; no job is accepted, and nothing happens."""
    answer = prod.request(prod.make_episode().episode_id, content)
    outcome = prod.settle()

    answer.must_be(400, 422)
    answer.must_mention(word)
    outcome.must_have_no_effect()
    outcome.must_not_reach_cloud_tasks()


@scenario("PROD-INPUT-02", requires=["ONCE-01", "LOG-07"])
@pytest.mark.parametrize("episode", ["no-such-episode", ".hidden", "%0Aevent=forged"])
def test_an_unknown_episode_is_refused(prod: System, episode: str) -> None:
    """An episode that does not exist, or cannot exist, gets a 4xx that says so."""
    answer = prod.request(episode)
    outcome = prod.settle()

    answer.must_be(404, 422)
    answer.must_mention("episode_id")
    outcome.must_have_no_effect()
    outcome.must_not_reach_cloud_tasks()
