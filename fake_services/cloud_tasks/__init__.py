"""A stand-in for Google Cloud Tasks that the official, unmodified clients talk to."""

from fake_services.cloud_tasks.config import CloudTasksConfig, Semantics, TlsIdentity
from fake_services.cloud_tasks.errors import ApiError
from fake_services.cloud_tasks.server import CloudTasks

__all__ = ["ApiError", "CloudTasks", "CloudTasksConfig", "Semantics", "TlsIdentity"]
