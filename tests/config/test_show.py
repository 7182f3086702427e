from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.config.load import load
from trio_bridge.config.show import show

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
seconds = st.floats(min_value=0.05, max_value=2)


def shown(environ: dict[str, str]) -> str:
    return show(load(file=None, environ=environ, flags={}))


@given(
    columns=st.lists(words.filter(lambda w: "," not in w and w.strip() == w), min_size=1, unique=True),
    name=words,
    heartbeat=seconds,
)
def test_what_it_shows_can_be_loaded(columns, name, heartbeat):
    """Saved as a file, the output says the same settings, whatever characters are in them."""
    environ = {
        "TRIO_BRIDGE_POSTGRES_DSN": "host=::1",
        "TRIO_BRIDGE_POSTGRES_HEARTBEAT_S": str(heartbeat),
        "TRIO_BRIDGE_GRAFANA_URL": "https://g",
        "TRIO_BRIDGE_TABLE": "t",
        "TRIO_BRIDGE_NAME": name,
        "TRIO_BRIDGE_TIME": "no column of this name,",
        "TRIO_BRIDGE_FIELDS": ",".join(columns),
    }
    secret = {"TRIO_BRIDGE_GRAFANA_TOKEN": "s3cr3t"}
    first = load(file=None, environ=environ | secret, flags={})
    with TemporaryDirectory() as folder:
        file = Path(folder, "config.toml")
        file.write_text(show(first))
        again = load(file=file, environ=secret, flags={})
    assert again.settings == first.settings


@given(
    token=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)),
    password=st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
def test_no_secret_is_shown(token, password):
    """Neither the token nor the password, wherever it was said, and both show that they are there."""
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    text = shown(
        {
            "TRIO_BRIDGE_POSTGRES_DSN": f"host=db password='s3cr3t{escaped}' user=u",
            "TRIO_BRIDGE_GRAFANA_URL": "https://g",
            "TRIO_BRIDGE_GRAFANA_TOKEN": f"s3cr3t{token}",
            "TRIO_BRIDGE_TABLE": "t",
        }
    )
    assert "s3cr3t" not in text
    assert text.count("********") == 2


def test_shows_who_decided():
    """Each line ends with its origin, at one column."""
    lines = shown(
        {
            "TRIO_BRIDGE_POSTGRES_DSN": "host=::1",
            "TRIO_BRIDGE_GRAFANA_URL": "https://g",
            "TRIO_BRIDGE_GRAFANA_TOKEN": "t",
            "TRIO_BRIDGE_TABLE": "t",
        }
    ).splitlines()
    assert 'dsn = "host=::1"                                  # environment TRIO_BRIDGE_POSTGRES_DSN' in lines
    assert (
        "# token = ********                                # environment TRIO_BRIDGE_GRAFANA_TOKEN" in lines
    )
    assert "heartbeat_s = 0.5                                 # default" in lines
