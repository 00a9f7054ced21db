"""What is not queues and tasks: IAM policies, locations and encryption settings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import ApiError, entity_not_found, invalid
from fake_services.cloud_tasks.names import location_name, queue_name
from fake_services.cloud_tasks.paging import LIST_QUEUES_MAX, page

if TYPE_CHECKING:
    from fake_services.clock import Clock
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State

__all__ = ["PERMISSIONS", "Admin"]

_QUEUE_VERBS = "list get create update delete purge pause resume getIamPolicy setIamPolicy"
PERMISSIONS = frozenset(
    [f"cloudtasks.queues.{verb}" for verb in _QUEUE_VERBS.split()]
    + [f"cloudtasks.tasks.{verb}" for verb in ["list", "get", "create", "delete", "run", "fullView"]]
    + [
        "cloudtasks.locations.list",
        "cloudtasks.locations.get",
        "cloudtasks.cmekConfig.get",
        "cloudtasks.cmekConfig.update",
    ]
)


class Admin:
    """Policies, locations and encryption settings of one fake. Everything runs in one event loop.

    Args:
        state: Knows which queues exist.
        clock: Tells the time.
        locations: The location ids that ListLocations gives.
    """

    def __init__(self, state: State, clock: Clock, locations: tuple[str, ...]) -> None:
        self._state = state
        self._clock = clock
        self._locations = locations
        self._policies: dict[str, Message] = {}
        self._cmek: dict[str, Message] = {}

    def reset(self) -> None:
        """Forget every policy and setting."""
        self._policies.clear()
        self._cmek.clear()

    def get_iam_policy(self, request: Message) -> Message:
        """RPC reference, GetIamPolicy: an empty policy when none was set."""
        self._state.queue(request.resource)
        return self._policies.get(request.resource) or _policy(etag=b"ACAB")

    def set_iam_policy(self, request: Message) -> Message:
        """RPC reference, SetIamPolicy; a stale etag is refused. Without a mask, only the bindings change.

        Source of the mask's default: IAM reference, SetIamPolicyRequest.update_mask.
        """
        self._state.queue(request.resource)
        current = self._policies.get(request.resource)
        given = request.policy.etag
        if given and given != (current.etag if current is not None else b"ACAB"):
            raise ApiError(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with "
                "exponential backoff.",
            )
        policy = _policy()
        paths = set(request.update_mask.paths) or {"bindings", "etag"}
        unknown = paths - set(policy.DESCRIPTOR.fields_by_name)
        if unknown:
            raise invalid(f"The update mask names a field that a policy does not have: {min(unknown)!r}.")
        if current is not None:
            policy.CopyFrom(current)
        for field in sorted(paths & {"bindings", "audit_configs"}):
            policy.ClearField(field)
            getattr(policy, field).extend(getattr(request.policy, field))
        policy.version = request.policy.version
        policy.ClearField("etag")
        policy.etag = hashlib.sha256(policy.SerializeToString() + given).digest()[:6]
        self._policies[request.resource] = policy
        return policy

    def test_iam_permissions(self, request: Message) -> Message:
        """RPC reference, TestIamPermissions: a missing queue grants nothing and is no error."""
        queue_name(request.resource)
        for permission in request.permissions:
            if permission not in PERMISSIONS:
                raise invalid(f"Permission {permission} is not valid for this resource.")
        granted = list(request.permissions) if request.resource in self._state.queues else []
        return protos.message_class("google.iam.v1.TestIamPermissionsResponse")(permissions=granted)

    def list_locations(self, request: Message) -> Message:
        """Locations.ListLocations: the configured ones and those in which there are queues."""
        project = request.name.removeprefix("projects/")
        location_name(
            f"projects/{project}/locations/any" if request.name.startswith("projects/") else request.name
        )
        used = {
            queue.parts.location for queue in self._state.queues.values() if queue.parts.project == project
        }
        known = [*self._locations, *sorted(used - set(self._locations))]
        ids, token = page(
            known,
            known.index,  # the order is the configuration's: gcloud takes the first one for the default
            size=request.page_size,
            token=request.page_token,
            largest=LIST_QUEUES_MAX,
            query=request.name,
            now_us=self._clock.now_us(),
        )
        return protos.message_class("google.cloud.location.ListLocationsResponse")(
            locations=[_location(project, each) for each in ids], next_page_token=token
        )

    def get_location(self, request: Message) -> Message:
        """Locations.GetLocation: any well-formed location exists."""
        project, location = location_name(request.name)
        return _location(project, location)

    def get_cmek_config(self, request: Message) -> Message:
        """RPC reference, GetCmekConfig: without a key when none was set."""
        _location_of(request.name)
        return self._cmek.get(request.name) or protos.message_class("google.cloud.tasks.v2.CmekConfig")(
            name=request.name
        )

    def update_cmek_config(self, request: Message) -> Message:
        """RPC reference, UpdateCmekConfig."""
        config = request.cmek_config
        _location_of(config.name)
        unknown = [path for path in request.update_mask.paths if path not in {"kms_key", "*"}]
        if unknown:
            raise invalid(f"The update mask names a field that cannot be updated: {unknown[0]!r}.")
        self._cmek[config.name] = config
        return config


def _policy(**fields: object) -> Message:
    return protos.message_class("google.iam.v1.Policy")(**fields)


def _location(project: str, location: str) -> Message:
    return protos.message_class("google.cloud.location.Location")(
        name=f"projects/{project}/locations/{location}",
        location_id=location,
        labels={"cloud.googleapis.com/region": location},
    )


def _location_of(name: str) -> str:
    parent, found, rest = name.rpartition("/")
    if not found or rest != "cmekConfig":
        raise entity_not_found()
    location_name(parent)
    return parent
