"""Every call of the API: its request's class, its effect, and where gRPC and REST find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fake_services.cloud_tasks.protos import message_class
from fake_services.cloud_tasks.rpc import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks.admin import Admin
    from fake_services.cloud_tasks.batch import Batches
    from fake_services.cloud_tasks.buffer import Buffer
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State

__all__ = ["REST_ROUTES", "V2", "RestRoute", "grpc_paths", "methods_of"]

V2 = "google.cloud.tasks.v2."


def methods_of(state: State, admin: Admin, batches: Batches, buffer: Buffer) -> dict[str, Method]:
    """Every call by its name, bound to one fake's state."""
    effects: dict[str, Callable[[Message], Message]] = {
        "ListQueues": state.list_queues,
        "GetQueue": state.get_queue,
        "CreateQueue": state.create_queue,
        "UpdateQueue": state.update_queue,
        "DeleteQueue": state.delete_queue,
        "PurgeQueue": state.purge_queue,
        "PauseQueue": state.pause_queue,
        "ResumeQueue": state.resume_queue,
        "ListTasks": state.list_tasks,
        "GetTask": state.get_task,
        "CreateTask": state.create_task,
        "DeleteTask": state.delete_task,
        "RunTask": state.run_task,
        "BatchCreateTasks": batches.create,
        "BatchDeleteTasks": batches.delete,
        "GetCmekConfig": admin.get_cmek_config,
        "UpdateCmekConfig": admin.update_cmek_config,
    }
    methods = {
        name: Method(name, message_class(f"{V2}{name}Request"), effect) for name, effect in effects.items()
    }
    for name, full_name, effect in (
        ("GetIamPolicy", "google.iam.v1.GetIamPolicyRequest", admin.get_iam_policy),
        ("SetIamPolicy", "google.iam.v1.SetIamPolicyRequest", admin.set_iam_policy),
        ("TestIamPermissions", "google.iam.v1.TestIamPermissionsRequest", admin.test_iam_permissions),
        ("ListLocations", "google.cloud.location.ListLocationsRequest", admin.list_locations),
        ("GetLocation", "google.cloud.location.GetLocationRequest", admin.get_location),
        ("GetOperation", "google.longrunning.GetOperationRequest", batches.get),
        # REST only: its parts travel to the effect as a CreateTaskRequest that the buffer understands.
        ("BufferTask", f"{V2}CreateTaskRequest", buffer.buffer_task),
    ):
        methods[name] = Method(name, message_class(full_name), effect)
    return methods


def grpc_paths(methods: dict[str, Method], package: str) -> dict[str, Method]:
    """Every call that gRPC has, by its path; `package` ends with a dot."""
    services = {
        "ListLocations": "google.cloud.location.Locations",
        "GetLocation": "google.cloud.location.Locations",
        "GetOperation": "google.longrunning.Operations",
    }
    return {
        f"/{services.get(name, f'{package}CloudTasks')}/{name}": method
        for name, method in methods.items()
        if name != "BufferTask"
    }


@dataclass(frozen=True, slots=True)
class RestRoute:
    """Where REST finds a call.

    Attributes:
        verb: HTTP method.
        pattern: The path after the version; {field} captures into that request field. P, L, Q and T stand for
            the patterns of projects, locations, queues and tasks.
        method: Name of the call.
        body: Which request field the body is: "" none, "*" all, or a field's name.
    """

    verb: str
    pattern: str
    method: str
    body: str = ""


REST_ROUTES = (
    RestRoute("GET", "{name=P}/locations", "ListLocations"),
    RestRoute("GET", "{name=L}", "GetLocation"),
    RestRoute("GET", "{name=L/operations/*}", "GetOperation"),
    RestRoute("GET", "{name=L/cmekConfig}", "GetCmekConfig"),
    RestRoute("PATCH", "{cmek_config.name=L/cmekConfig}", "UpdateCmekConfig", "cmek_config"),
    RestRoute("GET", "{parent=L}/queues", "ListQueues"),
    RestRoute("POST", "{parent=L}/queues", "CreateQueue", "queue"),
    RestRoute("GET", "{name=Q}", "GetQueue"),
    RestRoute("PATCH", "{queue.name=Q}", "UpdateQueue", "queue"),
    RestRoute("DELETE", "{name=Q}", "DeleteQueue"),
    RestRoute("POST", "{name=Q}:purge", "PurgeQueue", "*"),
    RestRoute("POST", "{name=Q}:pause", "PauseQueue", "*"),
    RestRoute("POST", "{name=Q}:resume", "ResumeQueue", "*"),
    RestRoute("POST", "{resource=Q}:getIamPolicy", "GetIamPolicy", "*"),
    RestRoute("POST", "{resource=Q}:setIamPolicy", "SetIamPolicy", "*"),
    RestRoute("POST", "{resource=Q}:testIamPermissions", "TestIamPermissions", "*"),
    RestRoute("GET", "{parent=Q}/tasks", "ListTasks"),
    RestRoute("POST", "{parent=Q}/tasks", "CreateTask", "*"),
    RestRoute("POST", "{parent=Q}/tasks:batchCreate", "BatchCreateTasks", "*"),
    RestRoute("POST", "{parent=Q}/tasks:batchDelete", "BatchDeleteTasks", "*"),
    RestRoute("GET", "{name=T}", "GetTask"),
    RestRoute("DELETE", "{name=T}", "DeleteTask"),
    RestRoute("POST", "{name=T}:run", "RunTask", "*"),
)
