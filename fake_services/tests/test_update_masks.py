"""What UpdateQueue touches: masks, and the empty parts with which gcloud clears settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2

from fake_services.tests.test_queues import L, Q, client, frozen, update

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["client", "frozen"]

Client = Any  # the official client takes dictionaries, which its annotations do not say

TARGET = {
    "uri_override": {"host": "h", "port": 8080},
    "http_method": "PUT",
    "header_overrides": [{"header": {"key": "A", "value": "b"}}],
    "oidc_token": {"service_account_email": "a@p", "audience": "x"},
}
EVERY_PART = (
    "http_target.uri_override",
    "http_target.http_method",
    "http_target.header_overrides",
    "http_target.oidc_token.service_account_email",
    "http_target.oidc_token.audience",
)


def cleared(client: Client, *paths: str) -> Any:
    return tasks_v2.Queue.pb(update(client, list(paths)))


def test_clearing_every_part_of_a_target_leaves_none(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "http_target": TARGET})
    assert not cleared(client, *EVERY_PART).HasField("http_target")


def test_clearing_the_token_leaves_the_rest_of_the_target(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "http_target": TARGET})
    left = cleared(client, *EVERY_PART[3:]).http_target
    assert left.WhichOneof("authorization_header") is None
    assert (left.uri_override.host, left.http_method) == ("h", 4)


def test_a_token_cannot_lose_its_account_alone(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "http_target": TARGET})
    with pytest.raises(exceptions.InvalidArgument, match="service_account_email must be set"):
        cleared(client, EVERY_PART[3])
    assert client.get_queue(name=Q).http_target.oidc_token.service_account_email == "a@p"


def test_an_audience_needs_an_account(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    with pytest.raises(exceptions.InvalidArgument, match="service_account_email must be set"):
        update(client, [EVERY_PART[4]], http_target={"oidc_token": {"audience": "x"}})


@pytest.mark.parametrize(
    ("setting", "value", "paths"),
    [
        (
            "stackdriver_logging_config",
            {"sampling_ratio": 0.5},
            ["stackdriver_logging_config.sampling_ratio"],
        ),
        ("stackdriver_logging_config", {"sampling_ratio": 0.5}, ["stackdriver_logging_config"]),
        ("app_engine_routing_override", {"service": "s"}, ["app_engine_routing_override"]),
        ("http_target", {"uri_override": {"host": "h"}}, ["http_target.uri_override"]),
        ("http_target", {"uri_override": {"host": "h"}}, ["http_target.uri_override.host"]),
        ("http_target", {"uri_override": {"host": "h"}}, ["http_target"]),
    ],
)
def test_what_is_cleared_is_gone(client: Client, setting: str, value: Any, paths: Sequence[str]) -> None:
    client.create_queue(parent=L, queue={"name": Q, setting: value})
    assert not cleared(client, *paths).HasField(setting)


def test_an_empty_routing_removes_the_override(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "app_engine_routing_override": {"service": "s"}})
    updated = update(client, ["app_engine_routing_override"], app_engine_routing_override={})
    assert not tasks_v2.Queue.pb(updated).HasField("app_engine_routing_override")


def test_a_masked_path_through_something_that_is_no_message_is_refused(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    for path in ("name.x", "http_target.header_overrides.header", "http_target.nonsense.x", "http_target..x"):
        with pytest.raises(exceptions.InvalidArgument, match="names a field that a queue does not have"):
            update(client, [path])
