"""Tests that need a container engine: collected with --topology=containers only."""
