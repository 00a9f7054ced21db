"""Proves that the suites can fail: runs them against known-bad dispatchers, and against equivalent ones."""
