"""Judges: pure functions of recorded observations, each returning what is wrong or nothing."""
