"""``dispatchcheck.toml`` → ``Profile``: how to start a system under test, and how to recognise what it does.

Texts in ``[environment]``, ``[dev]``, ``[prod]``, ``[slow_assembly]``, ``[early_doubt]``, ``[api]``, ``[worker]`` and
``[check_config]``, and in the environment of ``[inprocess]``, may hold placeholders in braces, filled in for each run:
``{source}`` (the folder that the profile calls its source), ``{python}`` (the interpreter that runs the harness),
``{run}`` (the run's own folder), ``{storage}`` (where episodes are), ``{worker_url}`` (the gateway in front of the
worker), ``{secret}``, ``{project}``, ``{location}``, ``{queue}``, and in ``[slow_assembly]`` ``{bytes_per_s}``.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from harness.identity import files_of
from harness.model import Setting

PLACEHOLDERS = (
    "source",
    "python",
    "run",
    "storage",
    "worker_url",
    "secret",
    "project",
    "location",
    "queue",
    "bytes_per_s",
)
CAPABILITIES = ("idempotent", "durable", "settled-event", "strict-config")


def _placeholders(*known: str, form: str = "") -> AfterValidator:
    """Lets pass texts that use these placeholders only, each a name in braces.

    Args:
        known: their names.
        form: a regular expression for what may stand behind a name and a colon, e.g. the width ``02``.
    """

    def check(text: str) -> str:
        try:
            parts = [part for part in string.Formatter().parse(text) if part[1] is not None]
        except ValueError as problem:
            raise ValueError(f"{text!r}: {problem}; write a literal brace twice") from None
        for _, name, spec, conversion in parts:
            if name not in known:
                raise ValueError(f"unknown placeholder {{{name}}}; known are {', '.join(known)}")
            if conversion or not re.fullmatch(form, spec or ""):
                raise ValueError(f"{text!r}: a placeholder is a name in braces")
        return text

    return AfterValidator(check)


def _pattern_with_port(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as problem:
        raise ValueError(f"not a regular expression: {problem}") from None
    if "port" not in groups:
        raise ValueError("needs a group (?P<port>…) for the port that the process reports")
    return text


def _known_capability(name: str) -> str:
    if name not in CAPABILITIES:
        raise ValueError(f"unknown capability {name!r}; known are {', '.join(CAPABILITIES)}")
    return name


def _module_and_function(text: str) -> str:
    module, colon, function = text.partition(":")
    if not (colon and function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValueError("write it as module:function, as in my_package.decisions:dispatcher")
    return text


Template = Annotated[str, _placeholders(*PLACEHOLDERS)]
Confirmation = dict[str, Annotated[str, _placeholders("job_id", "episode_id")]]
EpisodePath = Annotated[str, _placeholders("episode_id")]
SegmentPath = Annotated[str, _placeholders("episode_id", "number", form=r"\d*")]
Environment = dict[str, Template]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Section):
    """``[profile]``: who the system under test is."""

    name: str = Field(min_length=1)
    source: str = "."
    files: tuple[str, ...] = ("**",)
    """Globs, relative to the source: the files that make up the system under test, and so its digest."""
    version: str = ""
    capabilities: tuple[Annotated[str, AfterValidator(_known_capability)], ...] = ()


class Settings(_Section):
    """``[settings]``: the environment variable that carries each setting."""

    app_env: str = "APP_ENV"
    worker_flag: str = "USE_WORKER_IN_DEV"
    worker_url: str = "WORKER_URL_BASE"
    secret: str = "TASKS_AUTH"  # noqa: S105 - the name of a variable
    project: str = "GOOGLE_CLOUD_PROJECT"
    location: str = "TASKS_LOCATION"
    queue: str = "TASKS_QUEUE"


class Start(_Section):
    """``[start]``: what the processes need to start quickly, and how long they may take.

    Attributes:
        preload: modules that are imported once, in the process from which those in Python are forked.
        ready_s: until they answer their health check.
        stop_s: until they have ended after SIGTERM.
        env_file: the file that the API reads in development, in the folder in which it works.
        reuse: ``worker``, where a worker that was left in order may serve one scenario after the other: where it keeps
            nothing between two jobs but what is in its storage.
    """

    preload: tuple[str, ...] = ()
    ready_s: float = Field(default=20.0, gt=0)
    stop_s: float = Field(default=10.0, gt=0)
    env_file: str = ".env.local"
    reuse: tuple[Literal["worker"], ...] = ()


class Command(_Section):
    """``[check_config]``: a command that runs to its end."""

    command: tuple[Template, ...] = Field(min_length=1)
    environment: Environment = {}


class Program(Command):
    """``[api]`` or ``[worker]``: a process that binds port 0 and reports the port in a log line."""

    ready_log: Annotated[str, AfterValidator(_pattern_with_port)]
    health: str = "/healthz"


class Containers(_Section):
    """``[containers]``: the image that is shipped, for ``--topology=containers``.

    Attributes:
        image: its name; the API and the worker both run from it.
        build: the command that makes it, run in the profile's folder; empty where it is there already. ``{source}`` is
            the folder of the source, ``{image}`` the name that the image gets, and ``{hold}`` another one that it gets
            where the command can give it two: the run's own, which no other build takes away.
        port: on which both listen.
        folder: where the image works, and so where it finds its environment file.
        storage: where the image keeps its storage.
        api, worker: the variables that make a container the one or the other.
        environment: variables of both that differ from those of ``[environment]``.
        stuck_after_s: as in ``[settle]``, where these variables need another one.
    """

    image: str = Field(min_length=1)
    build: tuple[Annotated[str, _placeholders("source", "image", "hold")], ...] = ()
    port: int = Field(default=8080, ge=1, le=65535)
    folder: str = Field(default="/", pattern="^/")
    storage: str = Field(pattern="^/.")
    api: dict[str, str] = {}
    worker: dict[str, str] = {}
    environment: dict[str, str] = {}
    stuck_after_s: float | None = Field(default=None, gt=0)


class Trigger(_Section):
    """``[trigger]``: the request that makes the API accept a job."""

    path: EpisodePath
    method: str = "POST"
    accepted: int = 202
    job_id: str = "job_id"
    correlation_id: str = "correlation_id"
    answer_s: float = Field(default=10.0, gt=0)


class OtherTask(_Section):
    """``[other_task]``: a request that makes the API dispatch a task which the worker does not serve."""

    path: EpisodePath
    method: str = "POST"
    accepted: int = 200


class Status(_Section):
    """``[status]``: where the API tells how an episode's jobs are doing.

    Attributes:
        ended: the states in which nothing changes any more.
        done: those of them in which the job has its effect; empty where the API does not tell them apart.
    """

    path: EpisodePath
    jobs: str = "jobs"
    job_id: str = "job_id"
    state: str = "state"
    ended: tuple[str, ...] = ("done", "failed")
    done: tuple[str, ...] = ()


class WorkerEndpoint(_Section):
    """``[worker_endpoint]``: the request that makes the worker assemble."""

    path: str = "/api/tasks/assemble"
    secret_header: str = "X-Tasks-Auth"  # noqa: S105 - the name of a header


class InProcess(_Section):
    """``[inprocess]``: how the dispatcher's decisions alone are run; see ``harness.topologies.decisions``.

    Attributes:
        entry: the function that makes a dispatcher, as ``module:function``; found in the source.
        job_id, episode_id: the members of the request to the worker that name the job and its episode.
        confirmation: the members of the JSON object with which the worker confirms a job, which may hold the
            placeholders ``{job_id}`` and ``{episode_id}``.
        environment: variables added to those of the API; time-outs that a busy machine cannot reach, for example.
    """

    entry: Annotated[str, AfterValidator(_module_and_function)]
    job_id: str = "job_id"
    episode_id: str = "episode_id"
    confirmation: Confirmation
    environment: Environment = {}


class Storage(_Section):
    """``[storage]``: where an episode's segments are put, and the manifests that finished assemblies leave."""

    segment: SegmentPath
    manifests: str
    job_id: str = "job_id"
    episode_id: str = "episode_id"
    role: str = "role"
    checksum: str = "checksum"
    output_suffix: str = ".wav"


class Settle(_Section):
    """``[settle]``: how long a run may move, and how long it must be quiet.

    Attributes:
        within_s: after this the run is given up as inconclusive.
        stuck_after_s: quiet without a job's end for so long means that the job is stuck.
        quiet_s: where no event ends a job, quiet for so long means that the run has ended; longer than the timers
            of the dispatcher.
    """

    within_s: float = Field(default=30.0, gt=0)
    stuck_after_s: float = Field(default=5.0, gt=0)
    quiet_s: float = Field(default=0.3, gt=0)


class Profile(_Section):
    """One system under test.

    Attributes:
        path: the file it was read from.
        environment: variables for both processes in both modes.
        slow_assembly: variables added to both that slow an assembly down to ``{bytes_per_s}``.
        early_doubt: variables added to both that make the dispatcher doubt within about a second that a job which
            it handed over, and which has no effect, will ever have one.
        reasons: the words that the dispatcher logs as ``reason``, by those of the fault catalogue, where they differ.
        dev, prod: variables added in one mode. Those of ``dev`` go into the environment file, as a developer
            keeps them; those of ``prod`` into the process environment, as a platform gives them.
    """

    path: Path
    profile: Identity
    settings: Settings = Settings()
    start: Start = Start()
    api: Program
    worker: Program
    check_config: Command | None = None
    containers: Containers | None = None
    trigger: Trigger
    other_task: OtherTask | None = None
    status: Status
    worker_endpoint: WorkerEndpoint = WorkerEndpoint()
    storage: Storage
    inprocess: InProcess | None = None
    settle: Settle = Settle()
    environment: Environment = {}
    slow_assembly: Environment = {}
    early_doubt: Environment = {}
    reasons: dict[str, str] = {}
    dev: Environment = {}
    prod: Environment = {}

    @property
    def name(self) -> str:
        """The system under test's name."""
        return self.profile.name

    @property
    def source(self) -> Path:
        """The folder of the system under test's source."""
        return (self.path.parent / self.profile.source).resolve()

    def variable(self, setting: Setting) -> str:
        """The environment variable that carries a setting."""
        name: str = getattr(self.settings, setting.value)
        return name

    def fill(self, environment: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
        """The variables with their placeholders filled in."""
        return {name: text.format_map(values) for name, text in environment.items()}


def load(path: Path, *, source: Path | None = None) -> Profile:
    """Read a profile.

    Args:
        path: the TOML file.
        source: judge the source in this folder instead of the one the profile names, e.g. a patched copy.

    Raises:
        UsageError: no such file, not TOML, or a key is missing, unknown or of the wrong kind; the message names
            the file, the section and the key.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageError(
            f"cannot read the profile {str(path)!r}: {problem.strerror}. Name one with --profile."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path.name} is not TOML: {problem}") from None
    identity = document.setdefault("profile", {})
    if source is not None and isinstance(identity, dict):
        identity["source"] = str(source.resolve())
    try:
        return Profile.model_validate({**document, "path": path.resolve()})
    except ValidationError as problem:
        raise UsageError(_explain(path, problem)) from None


def load_to_run(path: Path, *, source: Path | None = None) -> Profile:
    """As ``load``, and make sure that there is something to run.

    Raises:
        UsageError: also where the source has none of the system under test's files. Its processes might start even
            then, from wherever else the same modules are installed, and nobody would know what was judged.
    """
    profile = load(path, source=source)
    if not files_of(profile.source, profile.profile.files):
        raise UsageError(
            f"{path.name} says in [profile] that the system under test is {list(profile.profile.files)} in its source, "
            f"and there is no such file in {str(profile.source)!r}"
        )
    return profile


def _explain(path: Path, problem: ValidationError) -> str:
    """One line per mistake, in the words of the file."""
    errors = problem.errors(include_url=False)
    inner = {error["loc"][:-1] for error in errors}
    errors = [
        error for error in errors if error["loc"] not in inner
    ]  # that a part is wrong is said of the part
    lines = [f"{path.name} has {len(errors)} mistake(s):"]
    for error in errors:
        position = f"[{error['loc'][-1]}]" if isinstance(error["loc"][-1], int) else ""
        *sections, key = [part for part in error["loc"] if isinstance(part, str)]
        where = f"[{'.'.join(sections)}] {key}{position}" if sections else f"[{key}]"
        lines.append(f"  {where}: {_reason(error, sections)}")
    return "\n".join(lines)


def _reason(error: Any, sections: list[str]) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        model: Any = Profile
        for section in sections:
            model = model.model_fields[section].annotation
        valid = ", ".join(name for name in model.model_fields if name != "path")
        return f"is not known here; valid are: {valid}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message} (found {error['input']!r})"
