"""Provisioning: YAML that says what was meant, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trio_bridge.errors import ConfigError
from trio_bridge.grafana.provisioning import PROVIDER, PostgresSource, source_yaml, write


def test_a_data_source_is_what_was_said() -> None:
    """Awkward names arrive unharmed; Grafana reads the password itself."""
    source = PostgresSource(url="db:5432", database='a: "b" #c', user="$x", password="$__file{/run/p}")
    (said,) = yaml.safe_load(source_yaml(source))["datasources"]
    assert said["jsonData"] == {"database": 'a: "b" #c', "sslmode": "require"}
    # A doubled dollar is a dollar to Grafana.
    assert (said["url"], said["user"]) == ("db:5432", "$$x")
    assert said["secureJsonData"] == {"password": "$__file{/run/p}"}
    assert (said["type"], said["uid"]) == ("grafana-postgresql-datasource", "trio-bridge-postgres")


def test_the_provider_looks_into_one_folder() -> None:
    """Dashboards come from files below one path."""
    (provider,) = yaml.safe_load(PROVIDER)["providers"]
    assert (provider["type"], provider["options"]) == ("file", {"path": "/etc/grafana/dashboards"})


def test_files_are_written_below_the_folder(tmp_path: Path) -> None:
    """Folders are made; a file in a folder's place is the operator's mistake."""
    assert write(tmp_path / "new", {"a/b.txt": "é"}) == [tmp_path / "new" / "a" / "b.txt"]
    assert (tmp_path / "new" / "a" / "b.txt").read_text("utf-8") == "é"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        write(tmp_path / "file", {"a": ""})
