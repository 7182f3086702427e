"""The search for secrets finds them: a search that cannot find anything proves nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.chaos.bridges import BridgeProcess
from tests.security.canary import Canary, Made, planted
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live import LiveServer, auth
from trio_bridge.secret import Secret

TOKEN = "glsa_AbCdEfGhIjKlMnOpQrStUvWxYz012345_0badcafe"
PASSWORD = 'pä"ss\\wörd & more'
CANARY = Canary({"token": TOKEN, "password": PASSWORD, "none": ""})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("token", TOKEN),
        ("token", f"Authorization: Bearer {TOKEN}\r\n"),
        ("token", TOKEN[:12]),
        ("token", TOKEN[20:35]),
        ("token", base64.b64encode(f"api_key:{TOKEN}".encode()).decode()),
        ("password", PASSWORD),
        ("password", json.dumps({"event": PASSWORD})),
        ("password", json.dumps(PASSWORD, ensure_ascii=False)),
        ("password", repr(PASSWORD)),
        ("password", f"postgresql://u:{quote(PASSWORD, safe='')}@h/d"),
        ("password", base64.b64encode(f"admin:{PASSWORD}".encode()).decode()),
        ("password", base64.b64encode(f"root:{PASSWORD}".encode()).decode()),
        ("password", base64.b64encode(f"ro:{PASSWORD}".encode()).decode()),
    ],
)
def test_it_finds_a_secret_in_every_form(name: str, text: str) -> None:
    """Whole, in part, escaped, in a URL, in base64 wherever it begins; and says which it was, not what."""
    haystack = f"before {text} after".encode()
    assert CANARY.found_in(haystack) == [name]
    with pytest.raises(AssertionError, match=name) as failure:
        CANARY.assert_not_in(haystack, "the log")
    assert CANARY.found_in(str(failure.value).encode()) == []


def test_it_finds_nothing_where_there_is_nothing() -> None:
    """Neither in other tokens nor in an empty text."""
    assert CANARY.found_in(b"") == []
    assert CANARY.found_in(f"glsa_ {auth.new_token()} {'x' * 500}".encode()) == []


def test_it_knows_what_a_bridge_was_given(tmp_path: Path) -> None:
    """Tokens and passwords of the environment, of files, and of a DSN in either form."""
    file = tmp_path / "password"
    file.write_text("from a file it came\n")
    environment = {
        "TRIO_BRIDGE_GRAFANA_TOKEN": TOKEN,
        "TRIO_BRIDGE_GRAFANA_PASSWORD_FILE": str(file),
        "TRIO_BRIDGE_POSTGRES_DSN": "postgresql://u:in-the-dsn-itself@h/d",
        "TRIO_BRIDGE_GRAFANA_URL": "http://nobody",
        "HOME": "no secret of ours",
    }
    canary = planted(environment)
    assert len(canary.names) == 3
    assert len(canary.found_in(f"{TOKEN} from a file it came in-the-dsn-itself".encode())) == 3
    key_value = planted({"TRIO_BRIDGE_POSTGRES_DSN": "host=h password='in the dsn itself'"})
    assert key_value.found_in(b"in the dsn itself")
    assert planted({"TRIO_BRIDGE_POSTGRES_DSN": "postgresql://u@h/d"}).names == set()


async def test_a_bridge_process_that_tells_its_token_fails_its_test(tmp_path: Path) -> None:
    """Whatever a test is about, the log of its bridge is searched when it ends."""
    async with LiveServer() as live:
        talker = BridgeProcess("host=nowhere", live, tmp_path)
        told = "echo it is $TRIO_BRIDGE_GRAFANA_TOKEN; exec sleep 60"
        talker.start("sh", "-c", told)
        await wait_until(lambda: (tmp_path / "bridge.log").read_bytes() != b"")
        with pytest.raises(AssertionError, match="tells of TRIO_BRIDGE_GRAFANA_TOKEN"):
            talker.kill()
        (tmp_path / "bridge.log").write_text("it learned to be silent")
        talker.kill()


def report_of(text: str, when: str = "teardown") -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="test_x",
        location=("x", 1, "x"),
        keywords={},
        outcome="passed",
        longrepr=None,
        when=when,  # type: ignore[arg-type]
        sections=[("Captured stdout call", "a line\n"), ("Captured log call", text)],
    )


def test_a_test_that_tells_a_token_fails() -> None:
    """The suite's own hook: what Live servers and embedded servers were given must not stand in a test's output."""
    made = Made()
    new_token, init = auth.new_token, EmbeddedPostgres.__init__
    try:
        made.watch()
        token = auth.new_token()
        password = "s3cr3t of some length"
        EmbeddedPostgres(password=Secret(password)).close()
    finally:
        auth.new_token = new_token
        EmbeddedPostgres.__init__ = init  # type: ignore[method-assign]
    for told in (f"x {token} y", f"it is {password}"):
        report = report_of(told)
        made.judge(report)
        assert report.outcome == "failed"
        assert made.told_by(str(report.longrepr)) == 0
    for harmless in (report_of("a stranger: " + "glsa_" + "x" * 32 + "_01234567"), report_of(token, "call")):
        made.judge(harmless)
        assert harmless.outcome == "passed"
