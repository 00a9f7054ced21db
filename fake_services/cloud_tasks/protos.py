"""The API's messages, in a descriptor pool of their own so that they coexist with the official client.

Made from descriptors.binpb instead of importing google.cloud.tasks_v2, which takes longer than the fake's
whole start. The classes are typed Any because they exist only at run time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["DESCRIPTORS", "POOL", "Message", "message_class"]

#: A protobuf message. Nothing more precise can be said of classes made at run time.
Message = Any

#: Written by make_descriptors.
DESCRIPTORS = Path(__file__).with_name("descriptors.binpb")

POOL = descriptor_pool.DescriptorPool()


def _fill_pool() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in files.file:
        POOL.AddSerializedFile(file.SerializeToString())


def message_class(full_name: str) -> Any:  # see the module's docstring
    """The class of the message with this full name, such as "google.cloud.tasks.v2.Task"."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


_fill_pool()

_V2 = "google.cloud.tasks.v2."

Attempt = message_class(_V2 + "Attempt")
Queue = message_class(_V2 + "Queue")
Task = message_class(_V2 + "Task")

Empty = message_class("google.protobuf.Empty")
Status = message_class("google.rpc.Status")
