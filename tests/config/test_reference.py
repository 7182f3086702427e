"""The configuration table of the README is what the settings' types say."""

from __future__ import annotations

from pathlib import Path

from trio_bridge.config.reference import configuration_table


def test_the_readmes_table_is_true() -> None:
    """Every key, default and variable stands in the README as the program has it."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert configuration_table() in readme, "run python -m trio_bridge.config.reference and paste its table"


def test_every_key_has_a_meaning() -> None:
    """No key is listed without a word on what it does."""
    for row in configuration_table().splitlines()[2:]:
        assert len(row.split(" | ")[3]) > 10, row
