"""Who may call: bad tokens, unknown projects, missing permissions, used-up quotas. Off unless configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks.errors import ApiError, permission_denied_on_project
from fake_services.cloud_tasks.rate import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fake_services.clock import Clock
    from fake_services.cloud_tasks.config import CloudTasksConfig
    from fake_services.cloud_tasks.protos import Message

__all__ = ["Admission", "resource_of"]

_PERMISSION_OF = {
    "ListQueues": "cloudtasks.queues.list",
    "GetQueue": "cloudtasks.queues.get",
    "CreateQueue": "cloudtasks.queues.create",
    "UpdateQueue": "cloudtasks.queues.update",
    "DeleteQueue": "cloudtasks.queues.delete",
    "PurgeQueue": "cloudtasks.queues.purge",
    "PauseQueue": "cloudtasks.queues.pause",
    "ResumeQueue": "cloudtasks.queues.resume",
    "GetIamPolicy": "cloudtasks.queues.getIamPolicy",
    "SetIamPolicy": "cloudtasks.queues.setIamPolicy",
    "ListTasks": "cloudtasks.tasks.list",
    "GetTask": "cloudtasks.tasks.get",
    "CreateTask": "cloudtasks.tasks.create",
    "BufferTask": "cloudtasks.tasks.create",
    "BatchCreateTasks": "cloudtasks.tasks.create",
    "DeleteTask": "cloudtasks.tasks.delete",
    "BatchDeleteTasks": "cloudtasks.tasks.delete",
    "RunTask": "cloudtasks.tasks.run",
    "ListLocations": "cloudtasks.locations.list",
    "GetLocation": "cloudtasks.locations.get",
}
_ACT_AS = "iam.serviceAccounts.actAs"
_FULL = 2
_LISTS = frozenset({"ListQueues", "ListTasks", "ListLocations"})


class Admission:
    """Refuses calls that the configuration says the caller may not make.

    Args:
        config: is_access_token, projects, denied_permissions, service_accounts and semantics.quotas.
        clock: Tells the time.
    """

    def __init__(self, config: CloudTasksConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._quotas: dict[tuple[str, str], TokenBucket] = {}
        #: False when everything is admitted, so that the usual path costs nothing.
        self.needed = bool(
            config.projects is not None
            or config.denied_permissions
            or config.semantics.quotas
            or config.service_accounts is not None
            or config.is_access_token is not None
        )

    def check_caller(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Raise the ApiError with which the service refuses who shows no good access token, if it does.

        Args:
            metadata: gRPC metadata or HTTP headers.
        """
        good = self._config.is_access_token
        if good is None:
            return
        shown = [str(value) for key, value in metadata if key.lower() == "authorization"]
        if not shown:
            # Source: what the service answers to a call without credentials; "Cloud APIs, Errors".
            raise ApiError(
                "UNAUTHENTICATED",
                "Request is missing required authentication credential. Expected OAuth 2 access token, login "
                "cookie or other valid authentication credential.",
            )
        kind, _, token = shown[0].partition(" ")
        if kind != "Bearer" or not good(token):
            raise ApiError(
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
                "other valid authentication credential.",
            )

    def check(self, method: str, request: Message) -> None:
        """Raise the ApiError with which the service refuses this call, if it does."""
        resource = resource_of(request)
        parts = resource.split("/")
        project = parts[1] if len(parts) > 1 and parts[0] == "projects" else resource
        if self._config.projects is not None and project not in self._config.projects:
            raise permission_denied_on_project(project)
        self._check_permission(method, request, resource)
        if method in {"CreateQueue", "UpdateQueue"}:
            self.check_account(request.queue.http_target)
        if self._config.semantics.quotas:
            self._check_quota(method, "/".join(parts[:4]))

    def _check_permission(self, method: str, request: Message, resource: str) -> None:
        denied = self._config.denied_permissions
        needed = [_PERMISSION_OF.get(method, "")]
        if getattr(request, "response_view", 0) == _FULL:
            needed.append("cloudtasks.tasks.fullView")
        for permission in needed:
            if permission in denied:
                raise _lacks(permission, resource)

    @property
    def accounts_matter(self) -> bool:
        """Whether `check_account` may refuse anything."""
        return self._config.service_accounts is not None or _ACT_AS in self._config.denied_permissions

    def check_account(self, target: Message) -> None:
        """Raise the ApiError with which the service refuses the token of an HttpRequest or HttpTarget, if it does.

        Source: RPC reference, OidcToken.service_account_email: the account must exist, and the caller needs
        iam.serviceAccounts.actAs for it.
        """
        kind = target.WhichOneof("authorization_header")
        if kind is None:
            return
        email = getattr(target, kind).service_account_email
        known = self._config.service_accounts
        if known is not None and email not in known:
            raise ApiError("NOT_FOUND", f"Service account {email} does not exist.")
        if _ACT_AS in self._config.denied_permissions:
            raise _lacks(_ACT_AS, email)

    def _check_quota(self, method: str, location: str) -> None:
        if method == "RunTask":
            what, per_minute = "RunTask", 60
        elif method in _LISTS:
            what, per_minute = "List", 600
        else:
            return
        bucket = self._quotas.setdefault((what, location), TokenBucket(per_minute / 60, per_minute))
        if not bucket.take(self._clock.now_us()):
            raise ApiError(
                "RESOURCE_EXHAUSTED",
                f"Quota exceeded: {what} requests are limited to {per_minute} per minute and region.",
            )

    def reset(self) -> None:
        """Forget what was used of the quotas."""
        self._quotas.clear()


def _lacks(permission: str, resource: str) -> ApiError:
    return ApiError(
        "PERMISSION_DENIED",
        f'The principal (user or service account) lacks IAM permission "{permission}" for the '
        f'resource "{resource}" (or the resource may not exist).',
    )


def resource_of(request: Message) -> str:
    """The resource that a request is about: its parent, resource or name, or its queue's name."""
    for field in ("parent", "resource", "name"):
        value = getattr(request, field, "")
        if value:
            return str(value)
    for field in ("queue", "cmek_config"):
        if hasattr(request, field):
            return str(getattr(request, field).name)
    return ""
