"""How the API of one System is configured: its process environment and its environment file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.journal import Journal
from harness.model import Mode, Setting
from harness.profile import Profile
from harness.topologies.ground import Ground

PROJECT, LOCATION, QUEUE = "podcast-check", "us-west1", "assemble"
_SERVICE = "podcast-api"
_EPISODE_BYTES = 2_400  # what the segments of one of our episodes come to


class Configuration:
    """What a scenario says about the API before it starts; a running process does not notice changes.

    Each change is recorded by the setting's name, so that nobody takes the run for one with nothing out of order; its
    value is in what is shown of the environment, masked where it has to be.

    Attributes:
        values: what the placeholders of a profile stand for in this run.
        warm: whether the API may be forked from a process with third-party modules imported.
    """

    def __init__(
        self,
        profile: Profile,
        mode: Mode,
        folder: Path,
        *,
        ground: Ground,
        worker_url: str,
        secret: str,
        journal: Journal,
    ) -> None:
        self.values = {
            **ground.values,
            "worker_url": worker_url,
            "secret": secret,
            "project": PROJECT,
            "location": LOCATION,
            "queue": QUEUE,
            "bytes_per_s": "0",
        }
        self.warm = True
        self._journal = journal
        self._told: set[str] = set()
        self._profile = profile
        self._folder = folder
        self._mode = mode
        self._env_file = folder / "api" / profile.start.env_file
        self._process: dict[str, str] = {}
        self._file: dict[str, str] = {}
        self._common = {name: text for name, text in profile.environment.items() if ground.fits(text)}
        if mode is Mode.DEV:
            self._set_in_file(profile.fill(profile.dev, self.values))
        else:
            self._process.update(profile.fill(profile.prod, self.values))

    def set(self, setting: Setting, value: str) -> None:
        """Give a setting another value: in development in the environment file, else in the process environment."""
        self._changed(setting)
        variables = {self._profile.variable(setting): value}
        if self._mode is Mode.DEV:
            self._set_in_file(variables)
        else:
            self._process.update(variables)

    def unset(self, setting: Setting) -> None:
        """Remove a setting altogether."""
        self._changed(setting)
        name = self._profile.variable(setting)
        self._process.pop(name, None)
        if name in self._file:
            del self._file[name]
            self._set_in_file({})

    def set_in_process(self, setting: Setting, value: str) -> None:
        """Give a setting a value in the process environment, whatever the environment file says."""
        self._changed(setting)
        self._process[self._profile.variable(setting)] = value

    def write_env_file(self, text: str) -> None:
        """Replace the environment file by this text, as it is."""
        self._changed("environment file")
        self._env_file.write_text(text, encoding="utf-8")

    def under_cloud_run(self) -> None:
        """Set what the platform sets: the service's name, by which a program knows where it runs."""
        self._process["K_SERVICE"] = _SERVICE

    def slow_assembly(self, seconds: float) -> None:
        """Make each assembly take about that long, in both processes.

        Raises:
            UsageError: the profile does not say how.
        """
        if not self._profile.slow_assembly:
            raise UsageError(f"the profile {self._profile.name!r} has no [slow_assembly]")
        self.values["bytes_per_s"] = str(round(_EPISODE_BYTES / seconds))
        self._common |= self._profile.slow_assembly

    def doubt_soon(self) -> None:
        """Make the dispatcher doubt early that a job without an effect, which it has handed over, will have one.

        Raises:
            UsageError: the profile does not say how.
        """
        if not self._profile.early_doubt:
            raise UsageError(f"the profile {self._profile.name!r} has no [early_doubt]")
        self._common |= self._profile.early_doubt

    def without_module(self, module: str) -> None:
        """Make a Python module impossible to import in the API, as if its package were not installed."""
        folder = self._folder / "blocked"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_BLOCK_IMPORT.format(module=module), encoding="utf-8")
        path = self.common().get("PYTHONPATH", "")
        self._process["PYTHONPATH"] = f"{folder}:{path}".rstrip(":")
        self.warm = False  # a warm process has imported it already

    def common(self) -> dict[str, str]:
        """The variables of both processes."""
        return self._profile.fill(self._common, self.values)

    def of_api(self) -> Mapping[str, str]:
        """The variables of the API's process, without those that redirect it."""
        return {**self.common(), **self._process}

    def shown(self) -> dict[str, dict[str, str]]:
        """The API's variables by where they stand; the environment file as it is on disk."""
        text = self._env_file.read_text("utf-8") if self._env_file.exists() else ""
        return {"process": dict(self.of_api()), "env file": {"text": text} if text else {}}

    def _changed(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._journal.record("harness", "setting", f"changes {what}", setting=str(what))

    def _set_in_file(self, variables: Mapping[str, str]) -> None:
        self._file.update(variables)
        text = "".join(f"{name}={value}\n" for name, value in self._file.items())
        self._env_file.write_text(text, encoding="utf-8")


_BLOCK_IMPORT = """\
import importlib.abc
import sys


class _Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)


sys.meta_path.insert(0, _Block())
"""
