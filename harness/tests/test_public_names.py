"""What ``from harness import …`` gives, and that nobody waits for more of it than he asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import harness


def test_every_name_is_there_and_is_what_its_module_has() -> None:
    found = {name: getattr(harness, name) for name in harness.__all__}

    assert {name for name, value in found.items() if isinstance(value, ModuleType)} == {"faults", "matrix"}
    for name, value in found.items():
        if not isinstance(value, ModuleType):
            assert getattr(importlib.import_module(value.__module__), name) is value


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no name 'Sytem'; it has Answer, .*, System"):
        _ = harness.Sytem  # type: ignore[attr-defined]  # as it should be


def test_the_decorator_is_not_mistaken_for_its_module() -> None:
    importlib.import_module("harness.scenario")

    assert callable(harness.scenario)


@pytest.mark.parametrize("name", ["System", "faults", "scenario"])
def test_each_name_can_be_had_first(name: str) -> None:
    subprocess.run([sys.executable, "-c", f"from harness import {name}"], check=True)


def test_the_process_that_runs_decisions_goes_without_what_runs_systems() -> None:
    """Every test process starts one."""
    asked = "import sys, harness.topologies.decisions; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)

    needless = {"pytest", "pydantic", "harness.profile", "harness.topologies.system", "harness.plugin"}
    assert not needless & set(done.stdout.split())
