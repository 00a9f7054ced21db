"""The catalogue of faults: complete, unambiguous about what is ambiguous, and every one of them used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from types import ModuleType

import pytest

from harness import faults
from harness.faults import Applied, Fault, Layer, Observed, Party
from harness.faults.catalogue import collect, faults_in
from harness.tests.conftest import ROOT

ALL = list(faults.CATALOGUE.values())
OF_A_CALL = (Layer.CLOUD_TASKS, Layer.WORKER, Layer.NETWORK, Layer.TIME)


def used_in(source: str) -> Iterator[Fault]:
    """The faults that a file of scenarios names, as ``faults.NAME``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "faults":
            yield from faults_in(getattr(faults, node.attr))


def test_every_layer_and_every_party_has_faults() -> None:
    assert {fault.layer for fault in ALL} == set(Layer)
    assert {fault.strikes for fault in ALL} == set(Party)


@pytest.mark.parametrize("party", [Party.CLOUD_TASKS, Party.WORKER])
def test_every_ambiguous_cell_exists(party: Party) -> None:
    cells = {
        (applied, observed)
        for applied, observed in product(Applied, Observed)
        if Fault("", Layer.WORKER, party, applied, observed, "").ambiguous
    }
    there = {(f.applied, f.observed) for f in ALL if f.strikes is party and f.layer in OF_A_CALL}
    assert len(cells) == 13
    assert sorted(cells - there) == []


@pytest.mark.parametrize("fault", ALL, ids=str)
def test_a_fault_says_what_it_imitates_and_what_the_log_should_say(fault: Fault) -> None:
    assert len(fault.imitates.split()) >= 3
    assert fault.name == fault.name.lower().replace(" ", "-")
    ends_a_call = fault.layer in OF_A_CALL and fault.observed is not Observed.SUCCESS
    assert bool(fault.reason) or not ends_a_call


def test_every_fault_is_used_by_a_scenario() -> None:
    used = {
        fault.name
        for path in (ROOT / "scenarios").rglob("test_*.py")
        for fault in used_in(path.read_text("utf-8"))
    }
    assert sorted(set(faults.CATALOGUE) - used) == []


def test_the_check_for_use_finds_faults_alone_in_tuples_and_derived() -> None:
    found = list(
        used_in("x(faults.WORKER_LIES, faults.WORKER_PAUSED.at(p), faults.WORKER_UNAVAILABLE.once())")
    )
    lies = [fault.name for fault in faults.WORKER_LIES]
    assert sorted(fault.name for fault in found) == sorted([*lies, "worker-paused", "worker-503"])


def test_two_faults_with_one_name_are_refused() -> None:
    module = ModuleType("other")
    module.__dict__["A"] = faults.WORKER_HANGS
    module.__dict__["B"] = (faults.WORKER_HANGS, faults.WORKER_HANGS.once())
    with pytest.raises(ValueError, match="two faults are called 'worker-hangs'"):
        collect(module)
    assert list(collect(faults.process))


def test_every_name_of_the_layers_is_public() -> None:
    public = {f.name for name in faults.__all__ for f in faults_in(getattr(faults, name))}
    assert public == set(faults.CATALOGUE)
