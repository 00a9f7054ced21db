"""Tests of the reference dispatcher."""
