"""The jobs table and the engine behind it: SQLite (WAL) by default, PostgreSQL by URL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, create_engine, event, make_url

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_TIMEOUT_S = 5.0  # shorter than the API's bound, so that a locked database becomes an answer in time
_ENGINE_OPTIONS: dict[str, Any] = {
    "pool_size": 16,
    "max_overflow": 64,
    "pool_timeout": BUSY_TIMEOUT_S,
    "hide_parameters": True,  # an error's text goes to the log, and parameters hold what users wrote
}
# Source: PostgreSQL's documentation, libpq's "Parameter Key Words" and "Client Connection Defaults"; in the units
# that each has.
_LIBPQ = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SESSION = {
    "statement_timeout": round(BUSY_TIMEOUT_S * 1000),
    # How soon the server ends the transaction, and with it the locks, of a machine that is gone without a word.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
# Three processes, such as two APIs and a worker, fit into PostgreSQL's usual hundred connections, of which three are
# kept for administrators. More threads wait for one another: no transaction lasts.
_POSTGRESQL_POOL = {"pool_size": 16, "max_overflow": 16}
_SCHEMA_LOCK = 7_264_011  # any number that other programs in the same database are unlikely to use

# Statements are written out here and in `store`, and not built from tables and expressions of SQLAlchemy's, which every
# process that starts would build and compile anew: with those a run of all scenarios takes a tenth longer. Both
# databases understand them. An insert says every value, so that none depends on which version made the table.
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    -- What was accepted.
    job_id VARCHAR(64) NOT NULL PRIMARY KEY,
    episode_id VARCHAR(64) NOT NULL,
    correlation_id VARCHAR(64) NOT NULL,
    title TEXT,
    trace VARCHAR(64) NOT NULL,
    created_at FLOAT NOT NULL,
    -- The effect, guarded by a lease: accepted → running → done | failed.
    state VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL,
    lease_until FLOAT NOT NULL,
    route VARCHAR(16) NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    output TEXT NOT NULL,
    error TEXT NOT NULL,
    -- Getting it to somebody who does it: pending → handed_over; external means that no API of this store
    -- accepted it.
    dispatch VARCHAR(16) NOT NULL,
    dispatcher VARCHAR(64) NOT NULL,
    dispatch_until FLOAT NOT NULL,
    due_at FLOAT NOT NULL,
    dispatches INTEGER NOT NULL,
    tried TEXT NOT NULL,
    -- The end: its one event was written.
    settled BOOLEAN NOT NULL
)
"""
_SCHEMA = (
    _TABLE,
    "CREATE INDEX IF NOT EXISTS ix_jobs_episode_id ON jobs (episode_id)",
    "CREATE INDEX IF NOT EXISTS ix_jobs_unsettled ON jobs (settled, created_at)",
)


def open_database(url: str) -> Engine:
    """Connect and make the table when it is missing. Raises SQLAlchemyError or OSError."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address)
    return _open_postgresql(address)


def _open_postgresql(address: URL) -> Engine:
    """Every wait has an end: for a connection, for a lock, for a server that is cut off from us or we from it."""
    limits = {name: value for name, value in _LIBPQ.items() if name not in address.query}
    options = _ENGINE_OPTIONS | _POSTGRESQL_POOL
    engine = create_engine(address, pool_pre_ping=True, connect_args=limits, **options)

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _: object) -> None:
        connection.execute("; ".join(f"SET {name} = {value}" for name, value in _SESSION.items()))
        connection.commit()

    _create_schema(engine)
    return engine


def _open_sqlite(address: URL) -> Engine:
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        address, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **_ENGINE_OPTIONS
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return  # a reader: it sees the last commit, takes no lock and waits for nobody
        # Accepting a job waits for the disk, so that it survives a power cut. Everything later may be lost
        # in one: it is done again, and results are looked for on disk first. No crash of a process loses
        # anything.
        level = "FULL" if options.get("durable") else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        # Take the write lock first: a transaction that upgrades from reading can fail without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    _retry_while_locked(lambda: _switch_to_wal(engine))
    _create_schema(engine)
    return engine


def _switch_to_wal(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _retry_while_locked(action: Callable[[], None]) -> None:
    """SQLite's busy time-out does not cover the switch to WAL, which two processes may try at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return action()
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _create_schema(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # where IF NOT EXISTS fails when two processes say it at once
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
        for statement in _SCHEMA:
            connection.exec_driver_sql(statement)
