"""The Dockerfile's promises that can be checked without a Docker engine."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import fake_services
from fake_services.tests.test_command import running

TEXT = Path(fake_services.__file__).with_name("Dockerfile").read_text()


def test_the_base_image_can_be_chosen_and_nothing_is_downloaded_where_there_are_wheels() -> None:
    assert TEXT.index("ARG BASE_IMAGE=") < TEXT.index("FROM ${BASE_IMAGE}")
    assert "--no-index" in TEXT
    assert "--require-hashes" in TEXT
    assert "/venv/bin/python -m pip install" in TEXT  # the base may have no pip of its own
    assert "\nUSER fake\n" in TEXT


def test_its_environment_and_entry_point_start_a_fake() -> None:
    environment = dict(re.findall(r"(CLOUD_TASKS_FAKE_\w+)=(\S+)", TEXT))
    assert environment["CLOUD_TASKS_FAKE_HOST"] == "0.0.0.0"
    exposed = re.search(r"^EXPOSE (.*)$", TEXT, re.MULTILINE)
    assert exposed is not None
    assert set(exposed[1].split()) == {value for name, value in environment.items() if name.endswith("_PORT")}
    entry = re.search(r"^ENTRYPOINT (.*)$", TEXT, re.MULTILINE)
    assert entry is not None
    assert json.loads(entry[1]) == ["python", "-m", "fake_services.cloud_tasks"]
    # The same names, with ports that the system chooses and loopback.
    free = {name: "0" if name.endswith("_PORT") else "127.0.0.1" for name in environment}
    with running(**free) as (_, ready):
        path = re.search(r"8125(/\S+)'", TEXT)
        assert path is not None
        assert json.load(urllib.request.urlopen(ready["control"] + path[1], timeout=10))["status"] == "ok"
