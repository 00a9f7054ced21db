"""The scenario suites: each test is one sentence of specification."""
