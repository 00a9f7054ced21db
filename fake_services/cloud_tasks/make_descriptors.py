"""Writes descriptors.binpb, the message definitions of the API, from the installed google-cloud-tasks.

Run `python -m fake_services.cloud_tasks.make_descriptors` when that package changes; a test tells when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2

from fake_services.cloud_tasks.protos import DESCRIPTORS

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

__all__ = ["make"]


def make() -> bytes:
    """The FileDescriptorSet, serialized deterministically, in an order in which every import comes first."""
    # Only this script needs these packages; the fake starts without them, which saves most of a second.
    from google.api import httpbody_pb2
    from google.cloud import tasks_v2, tasks_v2beta3
    from google.cloud.location import locations_pb2
    from google.iam.v1 import iam_policy_pb2
    from google.longrunning import operations_pb2
    from google.protobuf import empty_pb2, struct_pb2
    from google.rpc import error_details_pb2

    roots: list[FileDescriptor] = [
        module.DESCRIPTOR
        for module in (
            httpbody_pb2,
            locations_pb2,
            iam_policy_pb2,
            operations_pb2,
            empty_pb2,
            struct_pb2,
            error_details_pb2,
        )
    ]
    roots += [
        kind.pb().DESCRIPTOR.file
        for api in (tasks_v2, tasks_v2beta3)
        for kind in (api.Task, api.Queue, api.CmekConfig, api.HttpRequest, api.CreateTaskRequest)
    ]
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for root in roots:
        _collect(root, found)
    return descriptor_pb2.FileDescriptorSet(file=found.values()).SerializeToString(deterministic=True)


def _collect(file: FileDescriptor, found: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    if file.name in found or _only_annotations(file.name):
        return
    for imported in sorted(file.dependencies, key=lambda each: str(each.name)):
        _collect(imported, found)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    # The annotations (http paths, field behaviour) are not used here and would pull in their own definitions.
    # Sorted, because the client's own order differs from process to process.
    kept = sorted(name for name in proto.dependency if not _only_annotations(name))
    del proto.dependency[:]
    del proto.public_dependency[:]
    proto.dependency.extend(kept)
    proto.ClearField("options")
    proto.ClearField("service")
    proto.ClearField("extension")
    for message in proto.message_type:
        _strip(message)
    for enum in proto.enum_type:
        enum.ClearField("options")
    proto.message_type.sort(key=lambda each: each.name)
    proto.enum_type.sort(key=lambda each: each.name)
    found[file.name] = proto


def _strip(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        field.ClearField("options")
    for nested in message.nested_type:
        if nested.options.map_entry:  # is what makes it a map
            continue
        _strip(nested)
    message.nested_type.sort(key=lambda each: each.name)
    if not message.options.map_entry:
        message.ClearField("options")


def _only_annotations(name: str) -> bool:
    return (name.startswith("google/api/") and name != "google/api/httpbody.proto") or name in {
        "google/protobuf/descriptor.proto",
        "google/longrunning/annotations.proto",
    }


if __name__ == "__main__":
    DESCRIPTORS.write_bytes(make())
