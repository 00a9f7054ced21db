"""Every fault by its name, collected from the modules of the layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType

from harness.faults import cloud_tasks, containers, environment, network, process, time, worker
from harness.faults.fault import Fault


def faults_in(value: object) -> Iterator[Fault]:
    """The faults in a public name of the catalogue: itself, or those in a tuple, however deep."""
    if isinstance(value, Fault):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from faults_in(each)


def collect(*modules: ModuleType) -> Mapping[str, Fault]:
    """The faults of modules, by name.

    Raises:
        ValueError: two different faults have one name.
    """
    found: dict[str, Fault] = {}
    for module in modules:
        for name, value in vars(module).items():
            for fault in faults_in(value) if name.isupper() else ():
                if found.setdefault(fault.name, fault) != fault:
                    raise ValueError(
                        f"two faults are called {fault.name!r}; the second is in {module.__name__}"
                    )
    return MappingProxyType(found)


CATALOGUE = collect(cloud_tasks, worker, network, environment, time, process, containers)
