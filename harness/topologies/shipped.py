"""Whether a container is what is shipped: its image, its command, its user, its environment and its files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harness.errors import Finding

_OURS = ("harness", "fake_services", "scenarios", "reports")
# Run in the container: which of our modules it could import, and which folders of tests it has.
_LOOK = (
    "import importlib.util, pathlib, os\n"
    f"print(*[name for name in {_OURS!r} if importlib.util.find_spec(name)])\n"
    "print(*[str(path) for path in pathlib.Path(os.getcwd()).rglob('tests')])"
)


def compare(
    container: Any, image: str, variables: Collection[str], mounts: Collection[str]
) -> Finding | None:
    """The first thing in which a container is not its image as production runs it.

    Args:
        container: of the engine's client.
        image: the id of the image that was built.
        variables: the names that it may have been given beside those of the image.
        mounts: where something may be mounted.
    """
    container.reload()
    shipped, runs = container.client.images.get(image).attrs, container.attrs
    config = runs["Config"]
    given = {each.partition("=")[0] for each in config["Env"] if each not in shipped["Config"]["Env"]}
    mounted = {each["Destination"] for each in runs["Mounts"]}
    changed = [each["Path"] for each in container.diff() or [] if not _is_above(each["Path"], mounts)]
    found = container.exec_run(["python", "-c", _LOOK])
    differences = {
        "the image": (image, runs["Image"]),
        "the command": (shipped["Config"]["Cmd"], config["Cmd"]),
        "the entry point": (shipped["Config"]["Entrypoint"], config["Entrypoint"]),
        "the user": (shipped["Config"]["User"], config["User"]),
        "variables that the image does not have, nor the profile": ([], sorted(given - set(variables))),
        "mounts": ([], sorted(mounted - set(mounts))),
        "files that were changed": ([], sorted(changed)),
        "what is made for tests": ("", found.output.decode().strip()),
        "privileges": (False, runs["HostConfig"]["Privileged"]),
    }
    for what, (expected, observed) in differences.items():
        if expected != observed:
            return Finding(f"{what}: {expected!r}", repr(observed), oracle="shipped")
    return None


def _is_above(path: str, mounts: Collection[str]) -> bool:
    """Whether a changed folder is one that the engine made for a mount, or below one that keeps changing."""
    return any(mount == path or mount.startswith(path + "/") for mount in mounts)
