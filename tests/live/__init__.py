"""Tests of the Live stand-in."""
