"""What stands for each class of a cell: values in an environment."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model import Setting
from harness.oracles.cells import Cell

WORKER_URL = "http://worker.example:8081"
"""Where the worker is for decisions in process; nobody is there."""

SECRET = "s3cr3t/Zm9vYmFyYmF6cXV4MTIz+&"  # noqa: S105 - planted, and worth nothing
"""The secret for decisions in process."""

_CLOUD_RUN = {"K_SERVICE": "podcast-api"}
ODD_SECRET = "a b;c=d%20'e'"  # noqa: S105 - planted, to be found
"""Characters that a header may hold and that encodings change."""

_APP_ENV: Mapping[str, str | None] = {
    "empty": "",
    "unset": None,
    "unset-on-cloud-run": None,
    "misspelt": "prodution",
}
_WORKER_FLAG: Mapping[str, str | None] = {
    "unset": None,
    "on-in-spaces": "  on  ",
    "true-in-quotes": '"true"',
    "off-in-spaces": "  off  ",
    "false-in-quotes": "'false'",
    "empty": "",
}
_WORKER_URL: Mapping[str, str | None] = {
    "valid": "{url}",
    "slashes": "{url}///",
    "path": "{url}/behind/a/proxy",
    "unset": None,
    "empty": "",
    "no-scheme": "worker.example",
    "host-and-port": "worker.example:8081",
    "wrong-scheme": "ftp://worker.example",
    "no-host": "http://",
    "space-inside": "http://worker example",
    "space-after": "{url} ",
}
_SECRET: Mapping[str, str | None] = {
    "set": "{secret}",
    "odd-characters": ODD_SECRET,
    "unset": None,
    "empty": "",
    "blank": "   ",
    "unsendable": "gehe\u00efm",
}
_WITHOUT: Mapping[str, Mapping[Setting, str | None]] = {
    "complete": {},
    "no-project": {Setting.PROJECT: None},
    "no-location": {Setting.LOCATION: None},
    "no-queue": {Setting.QUEUE: None},
    "empty-queue": {Setting.QUEUE: ""},
    "nothing": {Setting.PROJECT: None, Setting.LOCATION: None, Setting.QUEUE: None},
}
_TITLE: Mapping[str, str | None] = {
    "plain": None,
    "titled": "\u201e\u00c9pisode\u201c n\u00b0 1 \u2013 \U0001f399",
    "hostile-title": "x\r\nevent=tasks.cloud.enqueued episode_id=ep-forged job_id=j\u2028event=x \x1b[2K",
}


def settings(cell: Cell, *, worker_url: str, secret: str) -> dict[Setting, str | None]:
    """The value of each setting that the cell speaks of; None for a variable that is not set.

    Args:
        cell: the cell.
        worker_url: where the worker is.
        secret: the secret that was planted.
    """
    url, given = _WORKER_URL[cell.worker_url], _SECRET[cell.secret]
    return {
        Setting.APP_ENV: _APP_ENV.get(cell.app_env, cell.app_env),
        Setting.WORKER_FLAG: _WORKER_FLAG.get(cell.worker_flag, cell.worker_flag),
        Setting.WORKER_URL: url and url.format(url=worker_url),
        Setting.SECRET: given and given.format(secret=secret),
        **_WITHOUT[cell.queue],
    }


def platform(cell: Cell) -> dict[str, str]:
    """What the platform sets."""
    return _CLOUD_RUN if cell.app_env.endswith("on-cloud-run") else {}


def title(cell: Cell) -> str | None:
    """The title in the request."""
    return _TITLE[cell.request]


def path_before(cell: Cell) -> str:
    """What stands in the worker's URL before the task's path."""
    return "/behind/a/proxy" if cell.worker_url == "path" else ""
