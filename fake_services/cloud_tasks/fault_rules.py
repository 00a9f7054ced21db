"""What a scripted fault means at Cloud Tasks, and which ones it cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks.errors import HTTP_STATUS, ApiError, Detail

if TYPE_CHECKING:
    from fake_services.faults import Fault

__all__ = [
    "DELIVER",
    "ScriptedError",
    "check_fault",
    "is_for_calls",
    "is_for_deliveries",
    "is_for_forced_ones",
]

#: The method of faults that hit attempts, and not calls.
DELIVER = "deliver"

# How a gRPC client reads an HTTP status that is no gRPC reply. Source: gRPC, "HTTP to gRPC status code mapping".
_CODE_OF_HTTP = {
    400: "INTERNAL",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}


def is_for_calls(fault: Fault) -> bool:
    """Whether it hits calls of the API."""
    return fault.method != DELIVER


def is_for_deliveries(fault: Fault) -> bool:
    """Whether it hits attempts: one for every method ("*") is about calls."""
    return fault.method == DELIVER


def is_for_forced_ones(fault: Fault) -> bool:
    """Whether it hits attempts by RunTask too, which know no order, no delay and no queue."""
    return is_for_deliveries(fault) and fault.delivery not in {"delayed", "newest_first"} and not fault.queue


class ScriptedError(ApiError):
    """The error that a fault answers with.

    Attributes:
        retry_after_s: Seconds for the Retry-After header; None for none.
        body: What REST answers instead of the API's own form; "" for that form.
    """

    def __init__(self, fault: Fault) -> None:
        status = fault.http_status
        code = fault.grpc_code or _CODE_OF_HTTP.get(status, "UNKNOWN" if status else "UNAVAILABLE")
        details: list[Detail] = []
        if fault.retry_after_s is not None:
            details.append(("google.rpc.RetryInfo", {"retryDelay": f"{fault.retry_after_s:g}s"}))
        super().__init__(code, fault.message or f"Scripted fault {fault.name!r}.", details)
        self._status = status or HTTP_STATUS[code]
        self.retry_after_s = fault.retry_after_s
        self.body = fault.body

    @property
    def http_status(self) -> int:
        """The HTTP status with which REST answers."""
        return self._status


def check_fault(fault: Fault) -> None:
    """Refuse what would have no effect here: a fault that does nothing tests nothing.

    Raises:
        ValueError: The message says what is possible.
    """
    if fault.midway or fault.drip_s or fault.late == "reply":
        raise ValueError(
            "midway, drip_s and late replies are for the worker gateway, which speaks plain HTTP"
        )
    if fault.observed != "error" and (fault.http_status or fault.retry_after_s is not None):
        raise ValueError(
            f"http_status and retry_after_s need observed 'error', which answers; got {fault.observed!r}"
        )
    if fault.http_status and fault.http_status < 300:
        raise ValueError(f"an error has an http_status from 300 on; got {fault.http_status!r}")
    if is_for_deliveries(fault):
        _check_delivery(fault)
    else:
        _check_call(fault)


def _check_delivery(fault: Fault) -> None:
    if fault.late:
        raise ValueError("late is for calls: a delivery is delayed by delivery 'delayed' and delay_s")
    if fault.delivery == "before_reply":
        raise ValueError("delivery 'before_reply' is for calls of CreateTask")
    if fault.applied == "partly":
        raise ValueError("applied 'partly' is for calls; half a request to a worker is the worker gateway's")
    if fault.delay_s and fault.delivery != "delayed":
        raise ValueError(f"a delivery waits for delay_s with delivery 'delayed', not {fault.delivery!r}")
    if fault.grpc_code or fault.message or fault.body:
        raise ValueError(
            "grpc_code, message and body are for calls: say what a delivery is answered by http_status"
        )


def _check_call(fault: Fault) -> None:
    if fault.delivery not in {"", "before_reply"}:
        raise ValueError(f"delivery {fault.delivery!r} needs method 'deliver', not {fault.method!r}")
    if fault.body and not fault.http_status:
        raise ValueError("body is what REST answers with an http_status, which is missing")
