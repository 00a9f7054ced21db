"""Tests of the harness; the oracles are tested on hand-written journals, with nothing running."""
