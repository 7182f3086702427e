"""What README and handbook say of the configuration is what the settings' types say."""

from __future__ import annotations

import re
from pathlib import Path

from trio_bridge.config.reference import configuration_page, configuration_table

_ROOT = Path(__file__).parents[2]


def test_the_readmes_table_is_true() -> None:
    """Every key, default and variable stands in the README as the program has it."""
    readme = (_ROOT / "README.md").read_text("utf-8")
    assert configuration_table() in readme, "run python -m trio_bridge.config.reference and paste its table"


def test_the_handbooks_page_is_true() -> None:
    """The page is what the program writes."""
    page = (_ROOT / "docs/configuration.md").read_text("utf-8")
    assert page == configuration_page(), "python -m trio_bridge.config.reference page > docs/configuration.md"


def test_every_key_has_a_meaning() -> None:
    """No key is listed without a word on what it does."""
    for row in configuration_table().splitlines()[2:]:
        assert len(row.split(" | ")[3]) > 10, row


def test_bounds_are_told() -> None:
    """The page says what a value may be: bounds of numbers, choices, names, paths."""
    rows = dict(re.findall(r"^\| `(\w+)`<br>\S+ \| (.*?) \| ", configuration_page(), re.MULTILINE))
    assert rows["heartbeat_s"] == "number, 0.05 to 2"
    assert rows["restart_max_s"] == "number, above 0 to 3,600"
    assert rows["max_unacked_bytes"] == "whole number, 65,536 to 4,194,304"
    assert rows["log_format"] == "`console`, `json`"
    assert rows["stream"] == "`[A-Za-z0-9_-]+`"
    assert (rows["fields"], rows["token_file"], rows["table"]) == ("list of names", "path", "text")
