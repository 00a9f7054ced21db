"""How single values of the configuration are read: booleans, numbers, the worker's URL, the secret."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

# Source: PostgreSQL's documentation, libpq's "Parameter Key Words".
PASSWORDS_IN_A_QUERY = ("password", "sslpassword")
WORKER_TASK_PATH = "/api/tasks/assemble"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", ""})


class ConfigError(Exception):
    """The configuration has no sensible reading; the message names the variable and what would be valid."""


class Secret:
    """A string that shows itself only when asked to, so that it cannot be logged by accident.

    `problem` says, as a slug, why what was given counts as no secret; empty when there is no such reason.
    """

    __slots__ = ("_value", "problem")

    def __init__(self, value: str, problem: str = "") -> None:
        self._value = value
        self.problem = problem

    def reveal(self) -> str:
        """The secret itself; for headers and comparisons, never for text that people read."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"


def parse_secret(raw: str) -> Secret:
    """Read a secret; one that cannot be sent in a header counts as none."""
    value = raw.strip()
    return Secret(value) if value.isascii() and value.isprintable() else Secret("", "not-a-header-value")


class Flag(NamedTuple):
    """A boolean variable: as written, as understood, and whether it was one of the known spellings."""

    raw: str
    value: bool
    valid: bool


def parse_flag(raw: str) -> Flag:
    """Read true/1/yes/on and false/0/no/off/empty in any case, with spaces and quotes around; else false."""
    word = raw.strip().strip("\"'").strip().lower()
    return Flag(raw, word in _TRUE, word in _TRUE or word in _FALSE)


class WorkerUrl(NamedTuple):
    """WORKER_URL_BASE: as written, without trailing slashes when valid, else empty with the reason."""

    raw: str
    base: str = ""
    problem: str = ""

    def __repr__(self) -> str:  # people may see `shown` of what is written
        return f"WorkerUrl(base={self.base!r}, problem={self.problem!r})"

    @property
    def assemble(self) -> str:
        """Where the worker takes assembly tasks."""
        return self.base + WORKER_TASK_PATH

    @property
    def shown(self) -> str:
        """The raw value, fit for a console: credentials that do not belong there are masked."""
        before, at, after = self.raw.rpartition("@")
        text = f"{before.partition('//')[0]}//***@{after}" if at else self.raw
        return text if text.isprintable() else repr(text)


def parse_worker_url(raw: str) -> WorkerUrl:
    """Check the URL's form; `problem` is a short slug such as `no-scheme`."""
    if not raw.strip():
        return WorkerUrl(raw, problem="not-set")
    # Before it is split: a space after the port hides the rest.
    if any(char.isspace() or not char.isprintable() for char in raw):
        return WorkerUrl(raw, problem="whitespace")
    try:
        parts = urlsplit(raw)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return WorkerUrl(raw, problem="not-a-url")
    checks = (
        ("://" not in raw, "no-scheme"),
        (parts.scheme not in ("http", "https"), "wrong-scheme"),
        (not host, "no-host"),
        ("@" in parts.netloc, "credentials-in-url"),
        (bool(parts.query or parts.fragment), "query-or-fragment"),
    )
    problem = next((slug for wrong, slug in checks if wrong), "")
    return WorkerUrl(raw, problem=problem) if problem else WorkerUrl(raw, base=raw.rstrip("/"))


def check_database_url(url: str) -> str:
    """The URL, if the store knows such a database. Raises ConfigError without the URL, which may hold a password."""
    try:
        kind = make_url(url).drivername
    except (ArgumentError, ValueError):
        raise ConfigError("DATABASE_URL is not a URL such as postgresql://user:password@host/name") from None
    if kind not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise ConfigError(f"DATABASE_URL is for {kind!r}; use sqlite or postgresql")
    return url


def database_secrets(url: str) -> tuple[str, ...]:
    """The passwords in a database's URL, where it has any: the user's, in either place, and that of a TLS key."""
    address = make_url(url)
    in_query = (each for name in PASSWORDS_IN_A_QUERY for each in address.normalized_query.get(name, ()))
    return tuple(each for each in (address.password, *in_query) if each)


def parse_number(name: str, raw: str, low: float, high: float, default: float) -> float:
    """The number that a variable holds, or its default. Raises ConfigError, which names the variable."""
    raw = raw.strip()
    if not raw:
        return default
    try:
        value = float(raw)
    except ValueError:
        raise ConfigError(f"{name}={raw!r} is not a number") from None
    if not low <= value <= high:
        raise ConfigError(f"{name}={raw} is out of range: {low:g} to {high:g}")
    return value
