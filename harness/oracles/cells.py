"""The input of the decision table: every dimension, its classes, and what each class means by the requirements.

A *cell* is one combination: a class of each setting, what Cloud Tasks does, and what the worker does. Classes are
names, not values: what stands in the environment for ``worker_url=no-scheme``, and how ``worker=reset`` is brought
about, is the business of the topology that runs the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from harness.errors import UsageError
from harness.model import Mode


@dataclass(frozen=True, slots=True)
class Means:
    """What an answer of a dependency means.

    Attributes:
        served: the caller has its confirmation, and stops here.
        done: the operation took effect, whatever the caller was told.
        reason: what the log must give as the reason, in the words of the fault catalogue; "" for any reason.
        permanent: whether the log must call it a mistake that will not pass; None where nothing is prescribed.
    """

    served: bool
    done: bool
    reason: str = ""
    permanent: bool | None = None


_YES = Means(served=True, done=True)


def _no(reason: str, *, permanent: bool | None = None) -> Means:
    """Not done, and not confirmed."""
    return Means(served=False, done=False, reason=reason, permanent=permanent)


def _lost(reason: str) -> Means:
    """Done, and the caller cannot know."""
    return Means(served=False, done=True, reason=reason)


APP_ENV: Final[Mapping[str, Mode | None]] = {  # DEV-01, CONF-07, CONF-08; None: the process refuses to start
    "production": Mode.PROD,
    "prod": Mode.PROD,
    "staging": Mode.PROD,
    "PRODUCTION": Mode.PROD,
    "unset-on-cloud-run": Mode.PROD,
    "development": Mode.DEV,
    "dev": Mode.DEV,
    "local": Mode.DEV,
    "Development": Mode.DEV,
    "empty": Mode.DEV,
    "unset": Mode.DEV,
    "misspelt": None,
}

ON, OFF, ODD = True, False, None
WORKER_FLAG: Final[Mapping[str, bool | None]] = {  # CONF-03; an odd value counts as off, with a warning
    "unset": OFF,
    "true": ON,
    "1": ON,
    "YES": ON,
    "on-in-spaces": ON,
    "true-in-quotes": ON,
    "false": OFF,
    "0": OFF,
    "No": OFF,
    "off-in-spaces": OFF,
    "false-in-quotes": OFF,
    "empty": OFF,
    "maybe": ODD,
}

WORKER_URL: Final[Mapping[str, str]] = {  # CONF-04; why it cannot be used
    "valid": "",
    "slashes": "",
    "path": "",
    "unset": "worker-url-not-set",
    "empty": "worker-url-not-set",
    "no-scheme": "worker-url-no-scheme",
    "host-and-port": "worker-url-no-scheme",
    "wrong-scheme": "worker-url-wrong-scheme",
    "no-host": "worker-url-no-host",
    "space-inside": "worker-url-whitespace",
    "space-after": "worker-url-whitespace",
}
NOT_GIVEN = "worker-url-not-set"
"""The one problem of a URL that is no mistake."""

SECRET: Final[
    Mapping[str, str | None]
] = {  # DEV-05, PROD-06; why no request could carry it, None for any reason
    "set": "",
    "odd-characters": "",
    "unset": "tasks-auth-not-set",
    "empty": "tasks-auth-not-set",
    "blank": "tasks-auth-not-set",
    "unsendable": None,
}

QUEUE: Final[Mapping[str, str]] = {  # PROD-04; why there is no queue to use
    "complete": "",
    "no-project": "not-configured",
    "no-location": "not-configured",
    "no-queue": "not-configured",
    "empty-queue": "not-configured",
    "nothing": "not-configured",
}

CLIENT: Final[Mapping[str, Means]] = {  # PROD-04, PROD-12
    "installed": _YES,
    "library-missing": _no("library-missing"),
    "no-credentials": _no("client-unavailable"),
    "unreadable-credentials": _no("client-unavailable"),
}
NOT_TRIED = frozenset({"library-missing"})
"""What is known before there is a job, so that the route is skipped; the rest shows when a client is wanted."""

CLOUD_TASKS: Final[Mapping[str, Means]] = {  # PROD-03, PROD-08, PROD-09, ONCE-02
    "ok": _YES,
    "already-exists": _YES,  # the task is there, as the dispatcher wanted
    "not-found": _no("not-found", permanent=True),
    "permission-denied": _no("permission-denied", permanent=True),
    "unauthenticated": _no("unauthenticated", permanent=True),
    "invalid-argument": _no("invalid-argument", permanent=True),
    "failed-precondition": _no("failed-precondition"),
    "out-of-range": _no("out-of-range"),
    "unimplemented": _no("unimplemented"),
    "resource-exhausted": _no("resource-exhausted", permanent=False),
    "aborted": _no("aborted", permanent=False),
    "cancelled": _no("cancelled", permanent=False),
    "unknown": _no("unknown", permanent=False),
    "deadline-exceeded": _no("deadline-exceeded", permanent=False),
    "internal": _no("internal", permanent=False),
    "unavailable": _no("unavailable", permanent=False),
    "data-loss": _no("data-loss", permanent=False),
    "reset": _no("unavailable", permanent=False),
    "garbage": _no("internal", permanent=False),
    "connection-refused": _no("connection-refused", permanent=False),
    "no-such-host": _no("dns", permanent=False),
    "created-then-timeout": _lost("deadline-exceeded"),
    "created-then-unavailable": _lost("unavailable"),
    "created-then-reset": _lost("unavailable"),
    "created-then-garbage": _lost("internal"),
}

WORKER: Final[Mapping[str, Means]] = {  # PROD-05, DEV-07, LOG-03, ONCE-03
    "done": _YES,
    "foreign-page": _no("bad-reply"),
    "empty-200": _no("bad-reply"),
    "no-content": _no("bad-reply"),
    "another-job": _no("bad-reply"),
    "301": _no("http-301"),
    "307": _no("http-307"),
    "400": _no("http-400"),
    "401": _no("http-401"),
    "403": _no("http-403"),
    "404": _no("http-404"),
    "408": _no("http-408"),
    "413": _no("http-413"),
    "429": _no("http-429"),
    "500": _no("http-500"),
    "502": _no("http-502"),
    "503": _no("http-503"),
    "504": _no("http-504"),
    "connection-refused": _no("connection-refused"),
    "no-such-host": _no("dns"),
    "tls": _no("tls"),
    "connect-timeout": _no("connect-timeout"),
    "timeout": _no("timeout"),
    "reset": _no("connection-reset"),
    "garbage": _no("protocol-error"),
    "done-then-reset": _lost("connection-reset"),
    "done-then-timeout": _lost("timeout"),
    "done-then-502": _lost("http-502"),
    "done-then-garbage": _lost("protocol-error"),
}

REQUEST: Final[
    Mapping[str, None]
] = {  # LOG-06; decides nothing, and must not break a header, a body or a line
    "plain": None,
    "titled": None,
    "hostile-title": None,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: a class of every dimension."""

    app_env: str = "production"
    worker_flag: str = "unset"
    worker_url: str = "valid"
    secret: str = "set"  # noqa: S105 - the name of a class
    queue: str = "complete"
    client: str = "installed"
    cloud_tasks: str = "ok"
    worker: str = "done"
    request: str = "plain"

    def __str__(self) -> str:
        """For example ``app_env=dev,worker_flag=true,worker=reset``; what is not said is as in ``Cell()``."""
        said = [f for f in fields(self) if f.name == "app_env" or getattr(self, f.name) != f.default]
        return ",".join(f"{f.name}={getattr(self, f.name)}" for f in said)

    @property
    def mode(self) -> Mode | None:
        """Which way of dispatching; None where the process must refuse to start."""
        return APP_ENV[self.app_env]


DIMENSIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "app_env": APP_ENV,
    "worker_flag": WORKER_FLAG,
    "worker_url": WORKER_URL,
    "secret": SECRET,
    "queue": QUEUE,
    "client": CLIENT,
    "cloud_tasks": CLOUD_TASKS,
    "worker": WORKER,
    "request": REQUEST,
}


def cell(name: str) -> Cell:
    """The cell of a name.

    Raises:
        UsageError: a dimension or a class is not in the tables; the message lists those that are.
    """
    classes: dict[str, str] = {}
    for part in name.split(","):
        dimension, _, value = part.strip().partition("=")
        if dimension not in DIMENSIONS:
            raise UsageError(
                f"the cell {name!r} has no dimension {dimension!r}; the dimensions are {', '.join(DIMENSIONS)}, "
                f"and a cell is written like {Cell(cloud_tasks='unavailable')}"
            )
        if value not in DIMENSIONS[dimension]:
            known = ", ".join(DIMENSIONS[dimension])
            raise UsageError(f"the cell {name!r} has no {dimension}={value}; the classes are {known}")
        if dimension in classes:
            raise UsageError(f"the cell {name!r} gives {dimension} twice")
        classes[dimension] = value
    return Cell(**classes)
