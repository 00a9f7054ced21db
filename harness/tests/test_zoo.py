"""The zoo: every patch fits, every head is true, and what is stale or wrong is a clear error."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import requirements
from harness.errors import UsageError
from harness.proving import patches, zoo
from harness.tests.conftest import ROOT

REFERENCE = ROOT / "reference_impl"
ZOO = zoo.load(REFERENCE / "mutants")
REQUIREMENTS = requirements.load(ROOT / "scenarios" / "requirements.toml")
ORACLES = {"answer", "budget", "closing", "effects", "events", "process", "route", "secrets", "wire"}

_HEAD = """\
---
id: {id}
title: Something goes wrong
incident: It went wrong once.
requirement: {requirement}
oracle: route
---
"""
_DIFF = """\
--- a/reference_impl/shutdown.py
+++ b/reference_impl/shutdown.py
@@ -1,3 +1,3 @@
 import signal
-import threading
+import threading as threads
 import time
"""


def write(
    folder: Path, name: str, *, head: str = "", diff: str = _DIFF, requirement: str = "PROD-01"
) -> Path:
    path = folder / f"{name}.patch"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((head or _HEAD).format(id=path.stem, requirement=requirement) + diff, encoding="utf-8")
    return path


def test_there_are_enough_and_all_fit() -> None:
    ZOO.check(REFERENCE, REQUIREMENTS)

    assert len(ZOO.mutants) >= 40
    assert len(ZOO.variants) >= 10


def test_every_requirement_that_can_be_verified_here_has_a_mutant_that_breaks_it() -> None:
    broken = {mutant.head.requirement for mutant in ZOO.mutants}

    assert [r for r in REQUIREMENTS if r not in broken and not r.startswith("LIVE-")] == []


def test_every_oracle_that_is_expected_exists() -> None:
    assert {mutant.head.oracle for mutant in ZOO.mutants} <= ORACLES


@pytest.mark.parametrize("animal", ZOO.animals, ids=lambda animal: animal.head.id)
def test_a_copy_differs_from_the_reference_in_what_the_patch_names(
    animal: zoo.Animal, tmp_path: Path
) -> None:
    source = animal.make(REFERENCE, tmp_path / "copy")

    changed = {path.relative_to(REFERENCE.parent) for path in animal.fit(REFERENCE)}
    copied = {p.relative_to(source) for p in source.rglob("*.py")}
    assert {p for p in copied if (source / p).read_bytes() != (ROOT / p).read_bytes()} == changed
    assert "reference_impl/tests" not in {str(p.parent) for p in copied}


def test_what_another_process_is_just_compiling_is_not_copied(tmp_path: Path) -> None:
    """It has another name a moment later, and a copy that looks for it would fail."""
    copy = ZOO.animals[0].make(REFERENCE, tmp_path / "of the reference")
    reference = copy / REFERENCE.name
    compiled = reference / "__pycache__" / "api.cpython-311.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"")
    compiled.with_name(f"{compiled.name}.140085104087216").write_bytes(b"")
    untouched = next(
        animal
        for animal in ZOO.animals
        if not animal.fit(REFERENCE).keys() & ZOO.animals[0].fit(REFERENCE).keys()
    )

    source = untouched.make(reference, tmp_path / "of the copy")

    names = {path.name for path in (source / REFERENCE.name / "__pycache__").iterdir()}
    assert "api.cpython-311.pyc" in names
    assert not [name for name in names if ".pyc." in name]


def test_no_copy_names_what_is_not_there(tmp_path: Path) -> None:
    """Else a mutant dies of a slip of its patch, and nobody learns whether its mistake would be found."""
    for animal in ZOO.animals:
        animal.make(REFERENCE, tmp_path / animal.head.id)

    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select=F,E9", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_a_stale_patch_is_named_with_its_file_and_its_line(tmp_path: Path) -> None:
    write(tmp_path, "stale", diff=_DIFF.replace("-import threading", "-import threads"))

    with pytest.raises(
        UsageError, match=r"stale\.patch does not fit reference_impl/shutdown\.py: .*'import threads'"
    ):
        zoo.load(tmp_path).check(REFERENCE, REQUIREMENTS)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, "stale", diff=_DIFF.replace("-import threading", "-import threads"))
    write(tmp_path, "unknown", requirement="PROD-99")

    with pytest.raises(UsageError) as error:
        zoo.load(tmp_path).check(REFERENCE, REQUIREMENTS)

    assert "stale.patch" in str(error.value)
    assert "unknown.patch names the unknown requirement 'PROD-99'" in str(error.value)


@pytest.mark.parametrize(
    ("name", "head", "diff", "words"),
    [
        ("a-mutant", "", "", "changes nothing"),
        ("a-mutant", "", _DIFF.replace("as threads", "as ("), "syntax|closed"),
        ("a-mutant", "", _DIFF.replace("shutdown", "nowhere"), "cannot be read"),
        ("a-mutant", "", "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n nonsense\n", "is not a unified diff"),
    ],
    ids=["no-diff", "syntax", "no-such-file", "no-diff-at-all"],
)
def test_a_patch_that_makes_no_dispatcher_is_an_error(
    tmp_path: Path, name: str, head: str, diff: str, words: str
) -> None:
    write(tmp_path, name, head=head, diff=diff)

    with pytest.raises(UsageError, match=words):
        zoo.load(tmp_path).check(REFERENCE, REQUIREMENTS)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("id: x\n", "does not begin with a head"),
        ("---\nid: [\n---\n", "its head is not YAML"),
        (_HEAD.replace("oracle: route\n", ""), "oracle: Field required"),
        (_HEAD.replace("oracle", "orakel"), "orakel|oracle"),
        (_HEAD.replace("{id}", "another"), "says that its id is 'another'"),
    ],
    ids=["none", "no-yaml", "missing", "unknown", "other-id"],
)
def test_a_head_that_cannot_be_read_is_an_error(tmp_path: Path, head: str, words: str) -> None:
    write(tmp_path, "a-mutant", head=head)

    with pytest.raises(UsageError, match=words):
        zoo.load(tmp_path)


def test_an_empty_zoo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no mutant"):
        zoo.load(tmp_path)


def test_one_id_for_a_mutant_and_a_variant_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "same")
    write(tmp_path / "equivalent", "same", head="---\nid: same\ntitle: The same\nwhy: It is.\n---\n")

    with pytest.raises(UsageError, match="same"):
        zoo.load(tmp_path)


def test_only_the_ones_that_are_asked_for() -> None:
    some = ZOO.only(["flag-parsed-with-bool", "slower-start"])

    assert [animal.head.id for animal in some.animals] == ["flag-parsed-with-bool", "slower-start"]
    with pytest.raises(UsageError, match=r"no such mutant: nobody; known are .*flag-parsed-with-bool"):
        ZOO.only(["nobody"])


def test_a_patch_finds_its_place_wherever_it_has_moved(tmp_path: Path) -> None:
    shutil.copytree(
        REFERENCE, tmp_path / "reference_impl", ignore=shutil.ignore_patterns("tests", "mutants", "*.pyc.*")
    )
    path = tmp_path / "reference_impl" / "shutdown.py"
    path.write_text("# moved\n" * 40 + path.read_text("utf-8"), encoding="utf-8")

    (text,) = patches.changed(_DIFF, tmp_path).values()

    assert "import threading as threads\n" in text
    assert text.startswith("# moved\n")


def test_a_place_that_is_there_twice_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n", encoding="utf-8")

    with pytest.raises(UsageError, match=r"does not fit a\.py: is there 2 times: 'x = 1'"):
        patches.changed("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n", tmp_path)


def test_several_places_of_one_file_are_found_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\none\nthree\n", encoding="utf-8")
    diff = "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n@@ -3,2 +3,3 @@\n one\n-three\n+3\n+4\n"

    assert patches.changed(diff, tmp_path) == {tmp_path / "a.py": "one\n2\none\n3\n4\n"}
