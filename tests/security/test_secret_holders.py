"""What holds a secret shows a mask as well: settings, their encodings, and tracebacks that print variables."""

from __future__ import annotations

import copy
import io
import pickle
import traceback
from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from trio_bridge.config.settings import GrafanaSettings, PostgresSettings, RouteSettings, Settings
from trio_bridge.secret import Secret

TOKEN, PASSWORD = "glsa_hunter2hunter2", "hunter2-of-the-database"
SETTINGS = Settings(
    postgres=PostgresSettings(dsn="host=h", password=Secret(PASSWORD)),
    grafana=GrafanaSettings(url="http://h", token=Secret(TOKEN)),
    route=(RouteSettings(name="r", table="t"),),
)


@pytest.mark.parametrize("show", [str, repr, "{}".format, pretty_repr])
def test_settings_show_the_mask(show: Callable[[object], str]) -> None:
    """As text, whole."""
    assert show(SETTINGS).count("********") == 2
    assert "hunter2" not in show(SETTINGS)


@pytest.mark.parametrize(
    "carry",
    [msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, pickle.dumps, copy.deepcopy],
)
def test_settings_are_not_carried_away(carry: Callable[[object], object]) -> None:
    """No encoder, pickle or deep copy takes them along; the refusal does not tell."""
    with pytest.raises((TypeError, NotImplementedError)) as refused:
        carry(SETTINGS)
    assert "hunter2" not in str(refused.value)


def failing(settings: Settings) -> None:
    """Fails with secrets in its variables, as `Secret` and inside of what holds one."""
    token = settings.grafana.token
    everything = {"token": token, "all": [settings]}
    raise ValueError(f"{token} {len(everything)}")


def test_tracebacks_with_variables_show_the_mask() -> None:
    """rich's and the standard library's, told to print what each frame holds."""
    out = io.StringIO()
    try:
        failing(SETTINGS)
    except ValueError as error:
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        Console(file=out, width=200).print(
            Traceback.from_exception(ValueError, error, error.__traceback__, show_locals=True)
        )
        shown = "".join(found.format()) + out.getvalue()
    assert shown.count("********") >= 6
    assert "hunter2" not in shown
