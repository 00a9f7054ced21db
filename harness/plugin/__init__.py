"""The pytest plugin: options, fixtures, and the rules by which a test run becomes evidence."""

pytest_plugins = [
    "harness.plugin.options",
    "harness.plugin.selection",
    "harness.plugin.display",
    "harness.plugin.fixtures",
    "harness.plugin.matrix",
    "harness.plugin.pace",
    "harness.plugin.forking",
    "harness.plugin.verdicts",
    "harness.plugin.session",
    "harness.plugin.serving",
]
