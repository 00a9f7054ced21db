"""Tests of the reports, on hand-written results."""
