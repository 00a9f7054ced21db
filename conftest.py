"""Loads the harness's plugin; holds no fixtures."""

pytest_plugins = ["harness.plugin"]
