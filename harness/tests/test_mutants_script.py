"""The script for maintainers: what is unpacked and packed is the same patch; a new one gets a head to fill in."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import UsageError
from harness.proving import zoo
from harness.tests.conftest import ROOT


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    """The script, working on a copy of the project's reference."""
    shutil.copytree(
        ROOT / "reference_impl",
        tmp_path / "reference_impl",
        ignore=shutil.ignore_patterns("tests", "*.pyc.*"),
    )
    spec = importlib.util.spec_from_file_location("mutants_script", ROOT / "scripts" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(ROOT=tmp_path, REFERENCE=tmp_path / "reference_impl")
    return module


def test_every_patch_survives_being_unpacked_and_packed(script: ModuleType, tmp_path: Path) -> None:
    for animal in zoo.load(script.REFERENCE / "mutants").animals:
        path, copy = script.patch_of(animal.head.id), tmp_path / "copies" / animal.head.id
        wanted = animal.fit(script.REFERENCE)

        script.unpack(animal.head.id, copy)
        script.pack(animal.head.id, copy)

        again = zoo.load(path.parent if path.parent.name == "mutants" else path.parents[1]).only(
            [animal.head.id]
        )
        assert again.animals[0].fit(script.REFERENCE) == wanted
        assert again.animals[0].head == animal.head


def test_a_new_one_gets_a_head_to_fill_in(script: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    script.unpack("a-new-one", copy)
    path = copy / "reference_impl" / "shutdown.py"
    path.write_text(path.read_text("utf-8").replace("import threading\n", "import threading as threads\n"))

    script.pack("a-new-one", copy)

    mutant = zoo.load_mutant(script.REFERENCE / "mutants" / "a-new-one.patch")
    assert mutant.head.title == "What is wrong with it, in one line"
    assert "import threading as threads" in next(iter(mutant.fit(script.REFERENCE).values()))


def test_a_copy_without_a_change_is_an_error(script: ModuleType, tmp_path: Path) -> None:
    script.unpack("a-new-one", tmp_path / "copy")

    with pytest.raises(UsageError, match="is like the reference"):
        script.pack("a-new-one", tmp_path / "copy")
