from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import reports
from harness.errors import UsageError
from harness.model import Verdict
from reports.results import as_json
from reports.schema import json_schema, read_results
from reports.tests import made


def test_the_schema_in_the_package_is_the_models() -> None:
    path = Path(reports.__file__).with_name("results.schema.json")
    written = json.loads(path.read_text("utf-8"))
    assert written == json_schema(), "write it anew: json.dumps(reports.schema.json_schema(), indent=1)"


def test_results_satisfy_the_schema() -> None:
    account = made.shown(made.record())
    failed = made.scenario("PROD-FALLBACK-09", Verdict.FAIL, account=account, files={"api.log": "0" * 64})
    document = json.loads(as_json(made.document(made.scenario("PROD-HEALTHY-01"), failed)))
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_text_and_document_are_the_same() -> None:
    document = made.going()
    assert json.loads(as_json(document)) == json.loads(json.dumps(document))
    assert as_json(document).count("\n") > len(document["scenarios"]) + len(document["requirements"])


def test_results_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(as_json(made.going()), encoding="utf-8")
    assert read_results(path)["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "has version None"),
        ('{"version": 2}', "has version 2"),
        ('{"version": 1}', "is not a results.json: run"),
        (as_json({**made.going(), "verdict": "GO"}), "verdict"),
        (as_json({**made.going(), "extra": 1}), "extra"),
    ],
)
def test_what_is_not_results_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_results(path)


def test_no_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the results"):
        read_results(tmp_path / "none.json")
