# ruff: noqa: E501 - a sentence is compared whole, on its own line
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from trio_bridge.config.load import Loaded, load, load_grafana, load_postgres, load_routes
from trio_bridge.config.settings import GrafanaSettings, PostgresSettings, RouteSettings, Settings
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret

Environ = Mapping[str, str]
Flags = Mapping[str, object]
NO_FLAGS: Flags = {}
TOKEN = {"TRIO_BRIDGE_GRAFANA_TOKEN": "glsa_x"}
ENOUGH = TOKEN | {
    "TRIO_BRIDGE_POSTGRES_DSN": "host=localhost user=bridge",
    "TRIO_BRIDGE_GRAFANA_URL": "https://grafana:3000",
    "TRIO_BRIDGE_TABLE": "live_metrics",
}
WHOLE_FILE = """
[postgres]
dsn = "host=localhost user=bridge"
[grafana]
url = "https://grafana:3000"
[[route]]
table = "live_metrics"
"""


@pytest.fixture
def written(tmp_path: Path):
    """Writes a configuration file, with secrets of its own beside it."""

    def write(text: str) -> Path:
        for name in ("token", "password"):
            (tmp_path / name).write_text(f"{name}-in-file\n")
            (tmp_path / name).chmod(0o600)
        file = tmp_path / "config.toml"
        file.write_text(text)
        return file

    return write


def loaded(environ: Environ, file: Path | None = None, flags: Flags = NO_FLAGS) -> Loaded:
    return load(file=file, environ=environ, flags=flags)


def mistakes(environ: Environ, file: Path | None = None, flags: Flags = NO_FLAGS) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file=file, environ=environ, flags=flags)
    assert caught.value.__cause__ is None
    lines = str(caught.value).splitlines()
    return [line.replace(f"{file.parent}/", "") for line in lines] if file else lines


def test_the_environment_is_enough():
    """Four variables run the bridge; everything else has a default."""
    assert loaded(ENOUGH).settings == Settings(
        postgres=PostgresSettings(dsn="host=localhost user=bridge"),
        grafana=GrafanaSettings(url="https://grafana:3000", token=Secret("glsa_x")),
        route=(RouteSettings(name="live_metrics", table="live_metrics"),),
    )


def test_the_environment_is_not_only_ours():
    """Variables of others, of the tests and empty ones say nothing."""
    others = {"PATH": "/bin", "TRIO_BRIDGE_TEST_X": "1", "TRIO_BRIDGE_PGBIN": "/pg", "TRIO_BRIDGE_STREAM": ""}
    assert loaded(ENOUGH | others) == loaded(ENOUGH)


def test_precedence_and_origins(written):
    """Flag over environment over file over default, and each value knows who decided it."""
    file = written(WHOLE_FILE + '[service]\nlog_level = "error"\nlog_format = "console"\ndrain_timeout_s = 1')
    both = loaded(
        TOKEN | {"TRIO_BRIDGE_SERVICE_LOG_LEVEL": "warning", "TRIO_BRIDGE_SERVICE_LOG_FORMAT": "json"},
        file,
        {"--log-level": "debug", "--log-format": None},
    )
    service = both.settings.service
    assert (service.log_level, service.log_format, service.drain_timeout_s) == ("debug", "json", 1.0)
    assert both.origins["service.log_level"] == "flag --log-level"
    assert both.origins["service.log_format"] == "environment TRIO_BRIDGE_SERVICE_LOG_FORMAT"
    assert both.origins["service.drain_timeout_s"] == str(file)
    assert both.origins["service.restart_max_s"] == "default"
    assert both.origins["route[0].table"] == str(file)


def test_every_setting_has_an_origin(written):
    """No setting of any route or section is without one, and no other name is among them."""
    two = loaded(TOKEN, written(WHOLE_FILE + '[[route]]\ntable = "b"'))
    sections = {
        "postgres": two.settings.postgres,
        "grafana": two.settings.grafana,
        "service": two.settings.service,
        "http": two.settings.http,
        "route[0]": two.settings.route[0],
        "route[1]": two.settings.route[1],
    }
    assert two.origins.keys() == {
        f"{prefix}.{key}" for prefix, section in sections.items() for key in section.__struct_fields__
    }


@pytest.mark.fault(118)
def test_the_file_may_be_named_by_the_environment(written):
    """TRIO_BRIDGE_CONFIG stands for --config; --config wins."""
    file = written(WHOLE_FILE)
    named = TOKEN | {"TRIO_BRIDGE_CONFIG": str(file)}
    assert loaded(named).settings.route[0].table == "live_metrics"
    assert mistakes(named, Path("/none/config.toml")) == [
        "config.toml: cannot be read: No such file or directory"
    ]


def test_lists_and_numbers_in_the_environment():
    """The environment writes lists with commas and numbers as digits."""
    more = {
        "TRIO_BRIDGE_FIELDS": "value, other",
        "TRIO_BRIDGE_TAGS": "sensor",
        "TRIO_BRIDGE_GRAFANA_MESSAGE_INTERVAL_MS": "0",
        "TRIO_BRIDGE_POSTGRES_HEARTBEAT_S": "0.25",
        "TRIO_BRIDGE_HISTORY_ROWS": "0",
        "TRIO_BRIDGE_KEYFRAME_INTERVAL_S": "0.5",
    }
    settings = loaded(ENOUGH | more).settings
    assert (settings.route[0].history_rows, settings.route[0].keyframe_interval_s) == (0, 0.5)
    assert settings.route[0].fields == ("value", "other")
    assert settings.route[0].tags == ("sensor",)
    assert settings.grafana.message_interval_ms == 0
    assert settings.postgres.heartbeat_s == 0.25


def test_paths_start_at_the_file_that_names_them(written, tmp_path):
    """A secret's file is found beside the configuration, wherever the program is started."""
    file = written(WHOLE_FILE.replace("[grafana]", '[grafana]\ntoken_file = "token"'))
    assert loaded({}, file).settings.grafana.token_file == tmp_path / "token"


def test_the_password_leaves_the_dsn():
    """A password in the environment's DSN becomes a Secret; the DSN goes on without it, every host included."""
    dsn = "postgresql://bridge:s3cr3t@one:1,two:2/db?sslmode=require"
    both = loaded(ENOUGH | {"TRIO_BRIDGE_POSTGRES_DSN": dsn})
    assert both.settings.postgres.password == Secret("s3cr3t")
    assert "s3cr3t" not in both.settings.postgres.dsn
    assert "host=one,two port=1,2" in both.settings.postgres.dsn
    assert both.origins["postgres.password"] == "environment TRIO_BRIDGE_POSTGRES_DSN"


@pytest.mark.fault(118)
def test_a_secret_that_all_can_read_is_a_warning(written, tmp_path):
    """The start goes on, and says which file to close."""
    file = written(WHOLE_FILE.replace("[grafana]", '[grafana]\ntoken_file = "token"'))
    assert loaded({}, file).warnings == ()
    (tmp_path / "token").chmod(0o644)
    assert loaded({}, file).warnings == (
        f"{tmp_path / 'token'}: every user of this machine can read this secret: chmod o-r",
    )


def test_a_route_needs_no_name_but_may_have_one(written):
    """The default name is the table or the channel as written."""
    more = '[[route]]\ntable = "Lab.Data"\n[[route]]\nchannel = "feed"\nname = "old"'
    routes = loaded(TOKEN, written(WHOLE_FILE + more)).settings.route
    assert [route.name for route in routes] == ["live_metrics", "Lab.Data", "old"]


def test_an_age_is_a_duration_or_seconds(written):
    """From the file as a text or a number, from the environment as text; off where nothing is said."""
    for said, seconds in (('"15m"', 900), ("90", 90), ("0.5", 0.5)):
        route = loaded(TOKEN, written(f"{WHOLE_FILE}max_age = {said}\n")).settings.route[0]
        assert route.max_age_s == seconds
    assert loaded(ENOUGH | {"TRIO_BRIDGE_MAX_AGE": "2h"}).settings.route[0].max_age_s == 7200
    assert loaded(ENOUGH | {"TRIO_BRIDGE_MAX_AGE": "90"}).settings.route[0].max_age_s == 90
    assert loaded(ENOUGH).settings.route[0].max_age_s is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[grafana]\ntokenfile = "x"', 'config.toml: [grafana] has no key "tokenfile": did you mean "token_file"?'),
        ("[grafana]\nzzz = 1", 'config.toml: [grafana] has no key "zzz"'),
        ("[grafna]", 'config.toml: there is no section "grafna": did you mean "grafana"?'),
        ('dsn = "x"', 'config.toml: there is no key "dsn"'),
        ("grafana = 3", "config.toml: grafana is a section: write [grafana]"),
        ('[route]\ntable = "x"', "config.toml: write [[route]], with two brackets: there may be several"),
        ("[[route]]", "config.toml: [[route]] is empty: give it a table"),
        ('[[route]]\ntabel = "x"', 'config.toml: [[route]] has no key "tabel": did you mean "table"?'),
        ("[grafana", "config.toml: is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ('[grafana]\ntoken = "s3cr3t"', "config.toml: [grafana] token: a secret does not belong here: use token_file, or the environment"),
        ('[postgres]\npassword = "s3cr3t"', "config.toml: [postgres] password: a secret does not belong here: use password_file, or the environment"),
        ("[grafana]\nmessage_interval_ms = 60001", "config.toml: [grafana] message_interval_ms: expected int <= 60000"),
        ("[grafana]\nmessage_interval_ms = 1.5", "config.toml: [grafana] message_interval_ms: expected int, got float"),
        ('[grafana]\nack_timeout_s = "3"', "config.toml: [grafana] ack_timeout_s: expected float, got str"),
        ("[grafana]\nack_timeout_s = -1", "config.toml: [grafana] ack_timeout_s: expected float > 0.0"),
        ("[grafana]\nack_timeout_s = nan", "config.toml: [grafana] ack_timeout_s: expected float > 0.0"),
        ("[grafana]\ntoken_file = 3", "config.toml: [grafana] token_file: expected a text that is not empty"),
        ('[service]\nlog_level = "s3cr3t"', "config.toml: [service] log_level: expected one of debug, info, warning, error"),
        ('[grafana]\nurl = "a\\nb"', "config.toml: [grafana] url: holds a control character or is not UTF-8"),
        ('[[route]]\ntable = "a.b.c"', "config.toml: [[route]] table: 'a.b.c' is not the name of a table: write table, schema.table or, as in SQL, \"My schema\".\"My table\""),
        ('[[route]]\ntable = "a"\n[[route]]\ntable = "b"\nstream = "a b"', "config.toml: [[route]] 2 stream: expected str matching regex '^[A-Za-z0-9_-]+$'"),
        ('[[route]]\ntable = "a"\nname = "a\\u0000"', "config.toml: [[route]] name: holds a control character or is not UTF-8"),
        ('[[route]]\ntable = "a"\nname = "a\\u0085"', "config.toml: [[route]] name: holds a control character or is not UTF-8"),
        ('[[route]]\ntable = "a"\nseries = ""', "config.toml: [[route]] series: expected str of length >= 1"),
        ('[[route]]\ntable = "a"\nmax_series = 0', "config.toml: [[route]] max_series: expected int >= 1"),
        ('[[route]]\ntable = "a"\nmax_series = 501', "config.toml: [[route]] max_series: expected int <= 500"),
        ('[[route]]\ntable = "a"\nhistory_rows = -1', "config.toml: [[route]] history_rows: expected int >= 0"),
        ('[[route]]\ntable = "a"\nhistory_rows = 8001', "config.toml: [[route]] history_rows: expected int <= 8000"),
        ('[[route]]\ntable = "a"\nkeyframe_interval_s = 0.09', "config.toml: [[route]] keyframe_interval_s: expected float >= 0.1"),
        ('[[route]]\ntable = "a"\nkeyframe_interval_s = 61', "config.toml: [[route]] keyframe_interval_s: expected float <= 60.0"),
        ('[[route]]\ntable = "a"\nmax_age = "1w"', 'config.toml: [[route]] max_age: write a duration above zero: "90s", "15m", "2h", "1d", or a number of seconds'),
        ('[[route]]\ntable = "a"\nmax_age = true', "config.toml: [[route]] max_age: expected float | str | null, got bool"),
        ("[[route]]\ntable = 'a'\nfields = []", "config.toml: [[route]] fields: expected array of length >= 1"),
        ('[postgres]\ndsn = "postgresql://u:s3cr3t@[::1"', "config.toml: [postgres] dsn: is not a connection string libpq can read (not shown: it may hold a password): write postgresql://user@host:port/database or host=… dbname=… user=…"),
        ('[postgres]\ndsn = "host=x password=s3cr3t"', "config.toml: [postgres] dsn: holds a password, and others can read it there: use password_file, or give the whole string as TRIO_BRIDGE_POSTGRES_DSN"),
        ('[postgres]\ndsn = "host=x sslpassword=s3cr3t"', "config.toml: [postgres] dsn: holds sslpassword, a secret that would show: use a libpq service file"),
    ],
)  # fmt: skip
@pytest.mark.fault(118)
def test_the_sentence_for_a_mistake_in_the_file(written, text, sentence):
    """Each mistake is one line: where, what, and what to write instead; never the value."""
    found = mistakes({}, written(text))
    assert found == [sentence]
    assert "s3cr3t" not in found[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"TRIO_BRIDGE_GRAFANA_TOKN": "s3cr3t"}, 'environment: "TRIO_BRIDGE_GRAFANA_TOKN" means nothing to trio-bridge: did you mean "TRIO_BRIDGE_GRAFANA_TOKEN"?'),
        ({"TRIO_BRIDGE_GRAFANA_ACK_TIMEOUT_S": "s3cr3t"}, "environment TRIO_BRIDGE_GRAFANA_ACK_TIMEOUT_S: expected float, got str"),
        ({"TRIO_BRIDGE_FIELDS": "a,,b"}, "environment TRIO_BRIDGE_FIELDS: expected str of length >= 1 - at $[1]"),
        ({"TRIO_BRIDGE_STREAM": "a\udc80"}, "environment TRIO_BRIDGE_STREAM: holds a control character or is not UTF-8"),
        ({"TRIO_BRIDGE_NAME": "a\0b"}, "environment TRIO_BRIDGE_NAME: holds a control character or is not UTF-8"),
        ({"TRIO_BRIDGE_MAX_SERIES": "501"}, "environment TRIO_BRIDGE_MAX_SERIES: expected int <= 500"),
        ({"TRIO_BRIDGE_GRAFANA_TOKEN_FILE": "/none"}, "environment TRIO_BRIDGE_GRAFANA_TOKEN and environment TRIO_BRIDGE_GRAFANA_TOKEN_FILE: give one of them"),
        ({"TRIO_BRIDGE_GRAFANA_TOKEN": ""}, "grafana: no credentials: set TRIO_BRIDGE_GRAFANA_TOKEN_FILE or TRIO_BRIDGE_GRAFANA_TOKEN (a service account with the organisation role Admin)"),
        ({"TRIO_BRIDGE_POSTGRES_DSN": "password=s3cr3t", "TRIO_BRIDGE_POSTGRES_PASSWORD": "s3cr3t"}, "environment TRIO_BRIDGE_POSTGRES_DSN holds a password, and so does environment TRIO_BRIDGE_POSTGRES_PASSWORD: give one of the two"),
        ({"TRIO_BRIDGE_POSTGRES_DSN": ""}, "no database: give postgres.dsn in the file, TRIO_BRIDGE_POSTGRES_DSN or --dsn"),
        ({"TRIO_BRIDGE_GRAFANA_URL": ""}, "no Grafana: give grafana.url in the file, TRIO_BRIDGE_GRAFANA_URL or --grafana-url"),
        ({"TRIO_BRIDGE_TABLE": ""}, "nothing to watch: give a [[route]] in the file, TRIO_BRIDGE_TABLE or --table"),
        ({"TRIO_BRIDGE_TABLE": "", "TRIO_BRIDGE_STREAM": "x"}, 'route "route[0]": give a table or a channel, one of the two'),
    ],
)  # fmt: skip
def test_the_sentence_for_a_mistake_in_the_environment(change, sentence):
    """The environment's mistakes read like the file's, with the variable's name."""
    assert mistakes(ENOUGH | change) == [sentence]


def test_no_password_on_the_command_line():
    """Any user of the machine can read a command line, so a DSN there may not hold a password."""
    found = mistakes(ENOUGH, flags={"--dsn": "host=x password=s3cr3t"})
    assert found == [
        "flag --dsn: holds a password, and others can read it there: use password_file, or give the whole string as TRIO_BRIDGE_POSTGRES_DSN"
    ]


def test_one_place_for_routes(written):
    """A table in the environment does not silently replace, or join, the file's routes."""
    assert mistakes({"TRIO_BRIDGE_STREAM": "y"}, written(WHOLE_FILE), {"--table": "x"}) == [
        "environment TRIO_BRIDGE_STREAM: config.toml has routes of its own, say it there",
        "flag --table: config.toml has routes of its own, say it there",
    ]


def test_all_mistakes_at_once(written):
    """The operator is not sent round once for each mistake."""
    text = "[grafana]\nack_timeout_s = 0\n[postgres]\nheartbeat_s = 9\n[service]\ndrain_timeout_s = true"
    assert mistakes({}, written(text)) == [
        "config.toml: [grafana] ack_timeout_s: expected float > 0.0",
        "config.toml: [postgres] heartbeat_s: expected float <= 2.0",
        "config.toml: [service] drain_timeout_s: expected float, got bool",
    ]


@pytest.mark.fault(118)
def test_a_file_that_is_not_text(tmp_path):
    """Bytes that are not UTF-8 are a mistake of the operator's, not a traceback."""
    (tmp_path / "config.toml").write_bytes(b"\xff")
    assert mistakes({}, tmp_path / "config.toml") == ["config.toml: is not UTF-8"]


def test_who_installs_need_not_know_grafana():
    """The database, Grafana or the routes can be asked for alone; the checks are the same."""
    dsn = {"TRIO_BRIDGE_POSTGRES_DSN": "host=localhost"}
    assert load_postgres(file=None, environ=dsn, flags={}) == PostgresSettings(dsn="host=localhost")
    assert load_routes(file=None, environ=dsn) == ()
    assert load_grafana(file=None, environ=TOKEN, flags={"--grafana-url": "https://g"}) == GrafanaSettings(
        url="https://g", token=Secret("glsa_x")
    )
    with pytest.raises(ConfigError, match="no database"):
        load_postgres(file=None, environ={}, flags={})
    with pytest.raises(ConfigError, match="means nothing"):
        load_routes(file=None, environ=dsn | {"TRIO_BRIDGE_X": "1"})
