"""What holds for all tests of the reports."""

from __future__ import annotations

from hypothesis import settings

from reports.tests.browsing import browser, open_page  # noqa: F401 - fixtures

# How long an example takes depends on what else the machine does; speed is measured in benchmarks.
settings.register_profile("reports", deadline=None)
settings.load_profile("reports")
