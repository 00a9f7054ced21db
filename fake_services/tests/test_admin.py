"""Policies, locations and encryption settings."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from fake_services.tests.test_queues import L, Q, client, frozen

__all__ = ["client", "frozen"]

Client = Any  # the official client takes dictionaries, which its annotations do not say


def test_policies_are_kept_and_stale_etags_refused(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    binding: Any = {"role": "roles/cloudtasks.enqueuer", "members": ["user:a@b"]}
    before = client.get_iam_policy(request={"resource": Q})
    stored = client.set_iam_policy(
        request={"resource": Q, "policy": {"bindings": [binding], "etag": before.etag}}
    )
    assert client.get_iam_policy(request={"resource": Q}) == stored
    assert stored.bindings[0].role == "roles/cloudtasks.enqueuer"
    with pytest.raises(exceptions.Aborted):
        client.set_iam_policy(request={"resource": Q, "policy": {"etag": before.etag}})
    granted = client.test_iam_permissions(request={"resource": Q, "permissions": ["cloudtasks.tasks.create"]})
    assert list(granted.permissions) == ["cloudtasks.tasks.create"]
    with pytest.raises(exceptions.InvalidArgument):
        client.test_iam_permissions(request={"resource": Q, "permissions": ["storage.objects.get"]})


def test_locations(client: Client) -> None:
    client.create_queue(
        parent="projects/p/locations/mars-1", queue={"name": "projects/p/locations/mars-1/queues/q"}
    )
    listed = client.list_locations(request={"name": "projects/p"})
    assert {"us-central1", "mars-1"} <= {each.location_id for each in listed.locations}
    assert dict(client.get_location(request={"name": L}).labels) == {
        "cloud.googleapis.com/region": "us-west1"
    }


def test_a_policys_mask_chooses_what_is_set(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    binding: Any = {"role": "roles/cloudtasks.viewer", "members": ["user:a@b"]}
    audit: Any = {"service": "cloudtasks.googleapis.com"}

    def stored(policy: Any, *paths: str) -> tuple[int, int]:
        request = {"resource": Q, "policy": policy, **({"update_mask": {"paths": paths}} if paths else {})}
        client.set_iam_policy(request=request)
        found = client.get_iam_policy(request={"resource": Q})
        return len(found.bindings), len(found.audit_configs)

    assert stored({"bindings": [binding], "audit_configs": [audit]}) == (1, 0)
    assert stored({"audit_configs": [audit]}, "audit_configs") == (1, 1)
    assert stored({}) == (0, 1)
    assert stored({}, "audit_configs", "etag") == (0, 0)
    with pytest.raises(exceptions.InvalidArgument, match="does not have: 'nonsense'"):
        stored({}, "nonsense")


def test_locations_go_through_pages_in_their_own_order(client: Client) -> None:
    found, token = [], ""
    while True:
        page = client.list_locations(request={"name": "projects/p", "page_size": 2, "page_token": token})
        found += [each.location_id for each in page.locations]
        token = page.next_page_token
        if not token:
            break
    assert found == ["us-central1", "us-east1", "us-west1", "europe-west1", "asia-east1"]


def test_encryption_settings_are_kept(client: Client) -> None:
    name = f"{L}/cmekConfig"
    assert client.get_cmek_config(name=name).kms_key == ""
    client.update_cmek_config(cmek_config={"name": name, "kms_key": "k"})
    assert client.get_cmek_config(name=name).kms_key == "k"
