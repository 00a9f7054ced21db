"""Fixtures for tests that need a container engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import profile
from harness.plugin.state import STATE
from harness.topologies import engine
from harness.topologies.workshop import Workshop

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def client() -> Any:
    """A client of the engine."""
    return engine.connect()


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The id of the reference's image, which the run has made and holds."""
    return request.config.stash[STATE].image


@pytest.fixture
def workshop(image: str) -> Iterator[Workshop]:
    """A workshop for containers of the reference."""
    made = Workshop(profile.load(ROOT / "reference_impl/dispatchcheck.toml"), "containers", image=image)
    yield made
    made.close()
