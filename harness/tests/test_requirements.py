from __future__ import annotations

from pathlib import Path

import pytest

from harness import requirements
from harness.errors import UsageError
from harness.model import Level
from harness.requirements import Requirement

GOOD = """
[[requirement]]
id = "PROD-02"
level = "core"
text = "second, and first in the list"

[[requirement]]
id = "PROD-01"
level = "extended"
text = "needs something"
capability = "durable"

[[requirement]]
id = "LIVE-01"
level = "core"
text = "not here"
excluded = "needs a deployment"
"""


def load(tmp_path: Path, text: str = GOOD) -> requirements.Requirements:
    path = tmp_path / "list.toml"
    path.write_text(text, encoding="utf-8")
    return requirements.load(path)


def test_a_good_list_keeps_its_order(tmp_path: Path) -> None:
    read = load(tmp_path)

    assert list(read) == ["PROD-02", "PROD-01", "LIVE-01"]
    assert len(read) == 3
    assert read["PROD-02"] == Requirement("PROD-02", Level.CORE, "second, and first in the list")
    assert (read["PROD-01"].level, read["PROD-01"].capability) == (Level.EXTENDED, "durable")
    assert read["LIVE-01"].excluded == "needs a deployment"


def test_known_ids_pass(tmp_path: Path) -> None:
    load(tmp_path).check_known(["PROD-01", "LIVE-01"], user="X-01")


def test_an_unknown_id_lists_its_family(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^X-01 names the unknown requirement 'PROD-99'; known are PROD-02, PROD-01$"
    ):
        load(tmp_path).check_known(["PROD-01", "PROD-99"], user="X-01")


def test_an_id_of_no_family_lists_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"known are PROD-02, PROD-01, LIVE-01$"):
        load(tmp_path).check_known(["NONE-01"], user="X-01")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "requirement = 5",
        "requirement = [5]",
        'requirement = "x"',
        "[requirement]\nid = 'x'",
        "[[requirement]]\nid = 'A-01'\ntext = 'x'",
        "[[requirement]]\nid = 'A-01'\nlevel = 'core'",
        "[[requirement]]\nlevel = 'core'\ntext = 'x'",
        "[[requirement]]\nid = 'A-01'\nlevel = 'gold'\ntext = 'x'",
        "[[requirement",
    ],
)
def test_what_is_no_list_is_a_usage_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"list\.toml is not a list of requirements: "):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the requirements '.*none': No such file"):
        requirements.load(tmp_path / "none")


def test_an_id_that_comes_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"list\.toml has LIVE-01 more than once"):
        load(tmp_path, GOOD + GOOD[GOOD.index('[[requirement]]\nid = "LIVE') :])
