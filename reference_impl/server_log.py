"""Brings the web server's own log into the form of the events' log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reference_impl import events

if TYPE_CHECKING:
    from reference_impl.log_format import LogSink
    from reference_impl.settings import Settings


def configure(settings: Settings) -> None:
    """Set up this process's log, for the events and for uvicorn."""
    sink = events.configure(settings)
    # An access line repeats the request's path, so that a request could write `event=…` into the log.
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("uvicorn", "uvicorn.error"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(_Formatter(sink, handler.formatter))


class _Formatter(logging.Formatter):
    """Masks secrets in any record, and makes it a JSON object where the log is JSON."""

    def __init__(self, sink: LogSink, plain: logging.Formatter | None) -> None:
        super().__init__()
        self._sink = sink
        self._plain = plain or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        if not self._sink.json_lines:
            return self._sink.redact(self._plain.format(record))
        message = logging.Formatter().format(record)  # with the traceback, if any, inside the one object
        return self._sink.redact(self._sink.render(record.levelname, message))
