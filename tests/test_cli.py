from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from trio_bridge import __version__
from trio_bridge.cli import main
from trio_bridge.config.sources import FLAGS
from trio_bridge.errors import ConfigError, SourceError

SETTINGS = {
    "TRIO_BRIDGE_POSTGRES_DSN": "host=db password=s3cr3t",
    "TRIO_BRIDGE_GRAFANA_URL": "https://grafana",
    "TRIO_BRIDGE_GRAFANA_TOKEN": "s3cr3t",
    "TRIO_BRIDGE_TABLE": "t",
}


@pytest.fixture
def cli():
    """Runs a command in this process, with no setting but those of `env`."""

    def invoke(*arguments, env=None):
        clean = {name: None for name in os.environ if name.startswith("TRIO_BRIDGE_")}
        return CliRunner().invoke(main, arguments, env=clean | (env or {}))

    return invoke


def environment(env=None):
    """What a child process sees: this machine, with no setting but those of `env`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TRIO_BRIDGE_")} | (env or {})


def in_process(*arguments, program=("-m", "trio_bridge"), env=None):
    """Runs a command as the shell does."""
    command = [sys.executable, *program, *arguments]
    return subprocess.run(
        command, env=environment(env), capture_output=True, text=True, timeout=60, check=False
    )


def test_says_what_it_is(cli):
    """Version and help work, and help names every command."""
    assert __version__ in cli("--version").output
    help_text = cli("-h").output
    assert all(
        command in help_text for command in ("run", "config", "install", "uninstall", "sql", "demo", "live")
    )


@pytest.mark.parametrize("command", ["run", "config"])
def test_every_flag_of_the_configuration_is_an_option(command):
    """The loader's flags and the command's options are the same."""
    options = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert options - {"--config"} == set(FLAGS)


def test_config_shows_no_secret(cli):
    """The effective configuration names its origins and masks both secrets."""
    result = cli("config", "--stream", "s", env=SETTINGS)
    assert result.exit_code == 0
    assert "flag --stream" in result.output
    assert "s3cr3t" not in result.output
    assert result.output.count("********") == 2


def test_the_operators_mistake_is_a_line_on_stderr(cli):
    """Exit code 2, one line for each mistake, nothing on standard output, no traceback."""
    result = cli("run", "--dsn", "host=x password=s3cr3t", env=SETTINGS | {"TRIO_BRIDGE_TABEL": "x"})
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        'trio-bridge: environment: "TRIO_BRIDGE_TABEL" means nothing to trio-bridge: '
        'did you mean "TRIO_BRIDGE_TABLE"?\n'
    )


def test_a_warning_does_not_stop_config(cli, tmp_path):
    """A secret that everybody can read is a warning, on standard error."""
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o644)
    result = cli("config", "--token-file", str(token), env=SETTINGS | {"TRIO_BRIDGE_GRAFANA_TOKEN": ""})
    assert result.exit_code == 0
    assert result.stderr == (
        f"trio-bridge: warning: {token}: every user of this machine can read this secret: chmod o-r\n"
    )


@pytest.mark.parametrize(
    ("outcome", "exit_code"),
    [(0, 0), (1, 1), (ConfigError("no"), 2), (SourceError("no"), 1), (KeyboardInterrupt(), 130)],
)
def test_what_the_service_returns_becomes_the_exit_code(cli, monkeypatch, outcome, exit_code):
    """A result is passed on; an error of ours is one line and its class's code; Ctrl-C is 130."""

    def main_of_service(settings):
        assert settings.route[0].table == "t"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr("trio_bridge.service.main", main_of_service)
    result = cli("run", env=SETTINGS)
    assert result.exit_code == exit_code
    assert result.stderr == ("trio-bridge: no\n" if isinstance(outcome, ConfigError | SourceError) else "")


def test_a_bug_keeps_its_traceback(cli, monkeypatch):
    """What nobody foresaw is not made into a line."""

    def main_of_service(_settings):
        raise ZeroDivisionError

    monkeypatch.setattr("trio_bridge.service.main", main_of_service)
    result = cli("run", env=SETTINGS)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_mistake_is_answered_without_the_machinery():
    """Help and typos load neither Trio nor psycopg."""
    program = (
        "-c",
        "import sys, trio_bridge.cli; print({'trio', 'psycopg', 'structlog', 'msgspec'} & set(sys.modules))",
    )
    assert in_process(program=program).stdout == "set()\n"


def test_the_module_is_the_command():
    """python -m trio_bridge: same name, same line, same code."""
    result = in_process("run", env={"TRIO_BRIDGE_POSTGRES_DSN": "", "COLUMNS": "200"})
    assert result.returncode == 2
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["trio-bridge"] * 3


def test_a_missing_extra_is_named():
    """Without the demo's packages the demo says what to install."""
    program = (
        "-c",
        "import sys; sys.modules['websockets'] = None; from trio_bridge.cli import main; main()",
    )
    result = in_process("demo", program=program)
    assert result.returncode == 2
    assert result.stderr == "trio-bridge: websockets is not installed: pip install 'trio-bridge[demo]'\n"


@pytest.mark.fault(117)
def test_a_broken_stderr_still_exits_with_the_code():
    """Whoever closed standard error still learns of the mistake from the exit code."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "trio_bridge", "run"]
        assert (
            subprocess.run(command, stderr=full, env=environment(), timeout=60, check=False).returncode == 2
        )


def test_live_runs_until_told_to_end():
    """The stand-in prints where it listens, refuses a second one on its port, and ends normally on SIGTERM."""
    command = [sys.executable, "-m", "trio_bridge", "live", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            port = url.rpartition(":")[2]
            second = in_process("live", "--port", port)
            assert second.returncode == 2
            assert second.stderr == f"trio-bridge: port {port} on 127.0.0.1: Address already in use\n"
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_run_from_the_shell(cli, database):
    """Installed, run with an environment alone, stopped by SIGTERM: JSON lines without a secret, exit code 0."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, timestamp timestamptz, value float8)")
    assert cli("install", "--table", "t", "--dsn", database.dsn).exit_code == 0
    command = [sys.executable, "-m", "trio_bridge"]
    with subprocess.Popen([*command, "live", "--port", "0"], stdout=subprocess.PIPE, text=True) as live:
        try:
            assert live.stdout is not None
            grafana = json.loads(live.stdout.readline())
            env = SETTINGS | {
                "TRIO_BRIDGE_POSTGRES_DSN": f"{database.dsn} password=s3cr3t",
                "TRIO_BRIDGE_GRAFANA_URL": grafana["url"],
                "TRIO_BRIDGE_GRAFANA_TOKEN": grafana["token"],
                "TRIO_BRIDGE_SERVICE_LOG_LEVEL": "debug",
            }
            with subprocess.Popen(
                [*command, "run"], env=environment(env), stderr=subprocess.PIPE, text=True
            ) as bridge:
                assert bridge.stderr is not None
                read = []
                for line in bridge.stderr:
                    read.append(line)
                    if json.loads(line)["event"] == "running":
                        bridge.send_signal(signal.SIGTERM)
                assert bridge.wait(30) == 0, read
            assert json.loads(read[-1])["event"] == "drained"
            assert not [line for line in read if grafana["token"] in line or "s3cr3t" in line]
        finally:
            live.send_signal(signal.SIGTERM)


def test_install_and_back(cli, database):
    """From the shell: the script is printed, installing may be repeated, and uninstalling leaves the rows."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, value float8)")
    database.execute("INSERT INTO t VALUES (1, 2)")
    triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"
    owner = ("--table", "t", "--dsn", database.dsn)
    script = cli("sql", *owner)
    assert script.exit_code == 0, script.output
    assert "CREATE INDEX CONCURRENTLY" in script.output
    assert database.execute(triggers) == [(0,)]
    for _ in range(2):
        done = cli("install", *owner, "--start", "earliest")
        assert done.exit_code == 0, done.output
        assert database.execute(triggers) != [(0,)]
    assert database.execute("SELECT name FROM trio_bridge.checkpoint") == [("t",)]
    assert cli("uninstall", *owner).exit_code == 0
    assert database.execute(triggers) == [(0,)]
    assert database.execute("SELECT * FROM t") == [(1, 2.0)]


def test_install_names_the_checkpoints_after_the_routes(cli, database, tmp_path):
    """Without --table every configured table is installed, with a checkpoint for each route that reads it."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY)")
    file = tmp_path / "config.toml"
    file.write_text(
        '[[route]]\ntable = "t"\nname = "a"\n[[route]]\ntable = "public.T"\nname = "b"\nstream = "other"\n'
        '[[route]]\nchannel = "feed"\n'
    )
    done = cli("install", "--config", str(file), env={"TRIO_BRIDGE_POSTGRES_DSN": database.dsn})
    assert done.exit_code == 0, done.output
    assert database.execute("SELECT name FROM trio_bridge.checkpoint ORDER BY name") == [("a",), ("b",)]


def test_install_needs_a_table_and_a_safe_dsn(cli):
    """Nothing to install, and a password on the command line, are the operator's mistakes."""
    nothing = cli("install", "--dsn", "host=db")
    assert (nothing.exit_code, nothing.stderr) == (
        2,
        "trio-bridge: no table: give --table, TRIO_BRIDGE_TABLE or a [[route]] in the file\n",
    )
    unsafe = cli("sql", "--table", "t", "--dsn", "host=db password=s3cr3t")
    assert unsafe.exit_code == 2
    assert "s3cr3t" not in unsafe.stderr


def test_demo_of_a_real_grafana_needs_its_token(cli):
    """The demo's options are checked as the configuration's are."""
    result = cli("demo", "--grafana", "https://grafana", env={"TRIO_BRIDGE_TABLE": "t"})
    assert result.exit_code == 2
    assert result.stderr.startswith("trio-bridge: grafana: no credentials")
    assert "no Grafana" in cli("demo", "--token-file", "x").stderr


def test_a_running_bridge_leaves_no_core_dump():
    """A core dump would hold the token and the database's password."""
    env = SETTINGS | {"TRIO_BRIDGE_POSTGRES_DSN": "host=127.0.0.1 port=9", "TRIO_BRIDGE_HTTP_LISTEN": "off"}
    command = [sys.executable, "-m", "trio_bridge", "run"]
    with subprocess.Popen(command, env=environment(env), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        # The first line is written after the settings are read: the limit is in force.
        process.stderr.readline()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.terminate()
    assert re.search(r"Max core file size +0 +0 +bytes", limits)
