"""Who was judged, by whom, and where: digests of source folders, and facts about the machine.

A digest names content. It is the SHA-256, in hexadecimal, of one line per file, sorted by path: the SHA-256 of the
file's content, two spaces, and the path relative to the folder, with ``/`` between its parts. The same figure comes
from ``sha256sum`` on the same files in the same order, piped into ``sha256sum``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

_NOT_SOURCE = {"__pycache__", "node_modules"}
_PACKAGES = ("pytest", "pytest-xdist", "grpcio", "httpx", "google-cloud-tasks", "uvicorn", "starlette")
_CI_VARIABLES = (
    "CI",
    "GITHUB_REPOSITORY",
    "GITHUB_SHA",
    "GITHUB_REF",
    "GITHUB_RUN_ID",
    "GITHUB_RUN_ATTEMPT",
    "RUNNER_NAME",
    "CI_PROJECT_PATH",
    "CI_COMMIT_SHA",
    "CI_COMMIT_REF_NAME",
    "CI_PIPELINE_ID",
    "CI_JOB_ID",
    "CI_NODE_INDEX",
    "CI_NODE_TOTAL",
)


def files_of(folder: Path, patterns: Iterable[str] = ("**",)) -> list[Path]:
    """The source files of a folder, sorted by path: without hidden folders and caches.

    Args:
        folder: where to look.
        patterns: globs relative to the folder; ``**`` for everything.
    """
    found: set[Path] = set()
    for pattern in patterns:
        found.update(folder.glob(pattern + "/*" if pattern.endswith("**") else pattern))
    return sorted(path for path in found if path.is_file() and _is_source(path.relative_to(folder)))


def _is_source(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[:-1])
    return not (hidden or _NOT_SOURCE & set(path.parts) or path.suffix == ".pyc")


def digest(folder: Path, patterns: Iterable[str] = ("**",)) -> str:
    """The digest of a folder's source files, as ``sha256:…``; "" where there are none."""
    files = files_of(folder, patterns)
    if not files:
        return ""
    lines = (f"{file_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def file_digest(path: Path) -> str:
    """The SHA-256 of one file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, object]:
    """Facts about the machine and the pipeline that a reader may need to reproduce a run.

    Of the variables, only those that name a pipeline's run are kept: the others may hold secrets.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 0,
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "ci": {name: variables[name] for name in _CI_VARIABLES if variables.get(name)},
    }


def version() -> str:
    """The version of dispatchcheck itself."""
    return _version("dispatchcheck") or "unknown"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
