"""What can be set about a Cloud Tasks fake; every choice on which sources disagree has a name here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fake_services.cloud_tasks.protos import Message

__all__ = ["NOT_IN_V2", "CloudTasksConfig", "Semantics", "TlsIdentity", "queue_from"]

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A server's certificate (chain) and key, both PEM."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """The choices on which the sources disagree or are silent. The defaults are the recommended ones.

    Attributes:
        dedup_window_s: How long a task's name stays taken after the task is gone: 1 h (RPC reference), 24 h
            (quota page), 9 d (queues from queue.yaml).
        queue_tombstone_s: How long a deleted queue's name stays taken: 7 d (quota page, gcloud), 3 d (newer
            reference); 0 lets it be made again at once.
        task_size_limit_bytes: Largest stored task: measured 1,048,569; 102,400 by an old comment.
        burst_formula: "observed" (a fifth of the rate, at least 10) or "at_least_rate" (newer reference).
        backoff_rounding: "exact", or "seconds": user-set back-offs are cut to whole seconds, as documented.
        follow_redirects: Whether an HTTP target's 3xx with a Location is followed ("may be").
        purge_delay_s: A purge "takes up to a minute to take effect"; 0 purges at once.
        retention_s: A task is deleted this long after its creation, whatever its state.
        schedule_horizon_s: How far ahead a task may be scheduled.
        enforce_rates: Whether the token bucket holds tasks back; off, only the concurrency cap does.
        throttling: Whether 429 and 503 lower the effective rate.
        buffered_content_type: Content type of a buffered task whose request had none: "" for none,
            "application/json" by the comment on queue-level targets.
        quotas: Whether RunTask (60 a minute) and lists (600 a minute) are limited per location.
        deadline_limit_s: Client deadlines above this are refused; 0 accepts all.
    """

    dedup_window_s: float = HOUR_S
    queue_tombstone_s: float = 7 * DAY_S
    task_size_limit_bytes: int = 1_048_569
    burst_formula: Literal["observed", "at_least_rate"] = "observed"
    backoff_rounding: Literal["exact", "seconds"] = "exact"
    follow_redirects: bool = True
    purge_delay_s: float = 0.0
    retention_s: float = 31 * DAY_S
    schedule_horizon_s: float = 30 * DAY_S
    enforce_rates: bool = True
    throttling: bool = True
    buffered_content_type: str = ""
    quotas: bool = False
    deadline_limit_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudTasksConfig:
    """How to start a Cloud Tasks fake.

    Attributes:
        host: Address on which every server listens.
        grpc_port: 0 lets the system choose.
        rest_port: Port of the REST API; 0 lets the system choose.
        control_port: Port of the control plane; 0 lets the system choose.
        tls: Serve gRPC and REST with TLS; None for plain text. The control plane is always plain.
        queues: Queues to start with: settings (as for `CloudTasks.create_queue`) by full name.
        auto_create_queues: Whether a CreateTask makes its queue when that is missing.
        clock: "system", or a virtual one: "frozen", or "jump" to the next event whenever nothing happens.
        clock_start_us: What a virtual clock shows first; None for its own fixed start.
        patience_s: How long, by the machine's clock, a virtual one waits for an attempt's answer before
            time goes on without it. Too short, and a busy machine looks like a target that hangs.
        hosts: Addresses for host names of targets, before DNS is asked.
        verify_targets: Whether certificates of https targets are checked.
        target_ca_pem: Another authority to trust for https targets.
        app_engine_url: Where App Engine tasks go; "" for the host that each task names.
        app_engine_services: Where those for one service go instead, by its name ("default" for none).
        firebase_functions_url: Base URL to which tasks of Firebase's admin SDKs go when they have none.
        token_issuer: The `iss` of ID tokens.
        locations: What ListLocations gives, besides the locations in which there are queues.
        projects: The projects that exist; None for all.
        service_accounts: The accounts that tokens may be made for; None for all.
        denied_permissions: IAM permissions that callers lack, such as "cloudtasks.tasks.create".
        is_access_token: Whether a bearer token of a caller is good; None: callers are not asked for one.
        semantics: The choices on which sources disagree.
        seed: Makes generated task ids repeatable; None for different ones each time.
        journal_capacity: How many exchanges are kept.
        journal_capacity_bytes: How many bytes of payload they may hold together.
    """

    host: str = "127.0.0.1"
    grpc_port: int = 0
    rest_port: int = 0
    control_port: int = 0
    tls: TlsIdentity | None = None
    queues: Mapping[str, dict[str, object]] = field(default_factory=dict)
    auto_create_queues: bool = False
    clock: Literal["system", "frozen", "jump"] = "system"
    clock_start_us: int | None = None
    patience_s: float = 5.0
    hosts: Mapping[str, str] = field(default_factory=dict)
    verify_targets: bool = True
    target_ca_pem: bytes | None = None
    app_engine_url: str = ""
    app_engine_services: Mapping[str, str] = field(default_factory=dict)
    firebase_functions_url: str = ""
    token_issuer: str = "https://accounts.google.com"  # noqa: S105  # an address, not a password
    locations: tuple[str, ...] = ("us-central1", "us-east1", "us-west1", "europe-west1", "asia-east1")
    projects: tuple[str, ...] | None = None
    service_accounts: tuple[str, ...] | None = None
    denied_permissions: tuple[str, ...] = ()
    is_access_token: Callable[[str], bool] | None = None
    semantics: Semantics = field(default_factory=Semantics)
    seed: int | None = None
    journal_capacity: int = 100_000
    journal_capacity_bytes: int = 256 * 1024 * 1024


#: What a configured queue may have besides the fields of a v2 Queue, as queues from queue.yaml do: a burst
#: size, a de-duplication window and a life of tasks of its own, purely linear back-off, and a state to start in.
NOT_IN_V2 = ("burst_size", "dedup_window_s", "no_doublings", "state", "task_ttl_s")


def queue_from(name: str, settings: Mapping[str, object]) -> Message:
    """A v2 Queue from plain values; a number stands for a duration in seconds.

    Keys of a queue that v2 lacks (`NOT_IN_V2`) are left to the fake.

    Raises:
        ValueError: There is no such field, or the value does not fit it.
    """
    from fake_services.cloud_tasks import protos

    queue = protos.Queue(name=name)
    try:
        _fill(queue, {key: value for key, value in settings.items() if key not in NOT_IN_V2})
    except (AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"not settings of the queue {name}: {settings!r}: {error}") from error
    return queue


def _fill(message: Message, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        described = message.DESCRIPTOR.fields_by_name.get(name)
        if described is None:
            valid = ", ".join(sorted(message.DESCRIPTOR.fields_by_name))
            raise ValueError(f"{message.DESCRIPTOR.name} has no field {name!r}; it has {valid}")
        if isinstance(value, Mapping):
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), value)
        elif isinstance(value, list):
            for each in value:
                _fill(getattr(message, name).add(), each)
        elif described.message_type is not None and described.message_type.name == "Duration":
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"{name} is a number of seconds")
            getattr(message, name).FromMicroseconds(round(value * 1e6))
        elif described.enum_type is not None and isinstance(value, str):
            number = described.enum_type.values_by_name.get(value)
            if number is None:
                raise TypeError(f"{name} is one of {', '.join(described.enum_type.values_by_name)}")
            setattr(message, name, number.number)
        else:
            setattr(message, name, value)
