"""Grafana, or what stands in its place, does not open the push socket: each refusal is waited out as it deserves."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trio

import trio_bridge.backoff
from tests.faults.pushing import BUSY_S, RESTART_MAX_S, pushing
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.live.auth import Role, new_token
from trio_bridge.live.faults import Refusal, answer
from trio_bridge.secret import Secret

Figures = Callable[..., None]


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("how", "words"), [("refused", "and closed it"), ("swallowed", "fell silent for 0.5 s")]
)
async def test_rows_go_on_within_a_second_of_the_connection(
    database: Database, figures: Figures, how: str, words: str
) -> None:
    """Connections refused or taken without a word, for a while: one sentence, and all rows soon after."""
    async with pushing(database.dsn, connect_timeout_s=0.5) as world:
        await world.wait_arrived(await world.insert(5))
        world.proxy.refuses, world.proxy.swallows = how == "refused", how == "swallowed"
        began = time.monotonic()
        world.proxy.cut()
        gap = await world.insert(20)
        await wait_until(lambda: words in world.route.failure)
        await trio.sleep(1.0)
        # One line a change of state, however often it is tried.
        assert len([reason for reason in world.said("route_failed") if words in reason]) == 1
        world.proxy.heal()
        healed = time.monotonic()
        recovery_s = await world.wait_recovered(gap, healed)
        await world.assert_intact()
        # With full jitter the waits are half of a second on average; a busy machine makes them longer, never shorter.
        attempts = world.failures
        assert attempts < 10 + 2 * (healed - began)
    assert recovery_s < 0.5 + RESTART_MAX_S + BUSY_S
    figures(**{f"{how}_recovery_s": recovery_s})


@pytest.mark.fault(49)
async def test_refused_credentials_are_no_tight_loop(database: Database) -> None:
    """A token that cannot work is tried again after half a minute at the earliest, and never shown."""
    token = new_token()
    async with pushing(database.dsn, connected=False, token=Secret(token)) as world:
        await wait_until(lambda: world.failures == 1)
        (failed,) = [entry for entry in world.logs if entry["event"] == "route_failed"]
        assert 30 <= failed["retry_in_s"] <= 60
        await trio.sleep(1.0)
        assert world.proxy.accepted == 1
        assert token not in str(world.logs)


@pytest.mark.fault(49, 50, 82)
async def test_a_token_in_a_file_is_read_anew(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open socket outlives its token; each refusal then has its sentence, and a good token in the file ends it."""
    monkeypatch.setattr(trio_bridge.backoff, "REFUSED_MIN_S", 0.1)
    monkeypatch.setattr(trio_bridge.backoff, "REFUSED_MAX_S", 0.3)
    file = tmp_path / "token"
    file.write_text(new_token())
    async with pushing(database.dsn, connected=False, token=None, token_file=file) as world:
        accounts = world.live.accounts
        account = accounts.add_account("low", Role.VIEWER)
        low, expired = accounts.add_token(account, "low"), accounts.add_token(account, "expired")
        accounts.expire(expired)
        for bad, words in (
            (file.read_text(), "answered 500 to the WebSocket upgrade: invalid API key"),
            ("no-such-form", "does not accept these credentials"),
            (expired, "does not accept these credentials"),
            (low, "push needs the organisation role Admin"),
        ):
            rows = await world.insert(5)
            file.write_text(bad)
            await wait_until(lambda words=words: words in world.route.failure)  # type: ignore[misc]
            assert world.route.last_failure is not None
            assert world.route.last_failure.cause == "grafana_credentials"
            good = accounts.add_token(world.live.accounts.find("bridge")[0], words)
            file.write_text(good + "\n")
            await world.wait_recovered(rows, time.monotonic())
            # Grafana asks at the handshake only: nothing happens while the socket is open.
            accounts.revoke(good)
            await world.wait_arrived(await world.insert(5))
            began = time.monotonic()
            world.proxy.cut()
            await world.wait_broken("", began)
        file.write_text(world.live.token)
        await world.assert_intact()


REFUSALS = {
    "500": (53, answer(500, body=b'{"message":"database is locked"}'), "it says 'database is locked'"),
    "502": (53, answer(502), "Bad Gateway"),
    "503": (53, answer(503), "Service Unavailable"),
    "504": (53, answer(504), "Gateway Timeout"),
    "redirect": (
        54,
        answer(302, {"Location": "http://127.0.0.1:1/x"}),
        "redirects to 127.0.0.1 are not followed",
    ),
    "page": (55, answer(200, {"Content-Type": "text/html"}, b"<html>login"), "a login page or a proxy"),
    "junk": (55, Refusal(b"\x00\x01\x02\x03 junk\r\n\r\n"), "something that is not HTTP"),
    "half": (
        55,
        Refusal(b"HTTP/1.1 101 Swi", hang=True),
        "began an answer to the WebSocket upgrade and fell silent",
    ),
    "accept": (
        56,
        Refusal(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBrZXk=\r\n\r\n",
            hang=True,
        ),
        "its Sec-WebSocket-Accept does not belong to our request",
    ),
}


@pytest.mark.fault(53, 54, 55, 56)
async def test_any_other_refusal_is_waited_out(database: Database) -> None:
    """Errors, redirects, pages, junk, half an answer, a wrong one: each has its sentence, then the rows come."""
    async with pushing(database.dsn, restart_max_s=0.1, connect_timeout_s=0.5) as world:
        for _, refusal, words in REFUSALS.values():
            await world.wait_arrived(await world.insert(2))
            world.live.faults.refusal = refusal
            began = time.monotonic()
            world.proxy.cut()
            rows = await world.insert(5)
            await wait_until(lambda words=words: words in world.route.failure)  # type: ignore[misc]
            world.live.faults.clear()
            await world.wait_recovered(rows, began)
        await world.assert_intact()


@pytest.mark.fault(51)
async def test_not_found_is_tried_again_at_once(database: Database, figures: Figures) -> None:
    """A proxy that says 404 while Grafana restarts costs no minute of panels: the rows come within a second."""
    async with pushing(database.dsn) as world:
        await world.wait_arrived(await world.insert(5))
        # As a router does that has lost the container behind it.
        world.live.faults.refusal = answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        await world.live.restart(0.5)
        gap = await world.insert(20)
        await wait_until(lambda: "is Grafana at least version 8" in world.route.failure)
        await trio.sleep(1.0)
        world.live.faults.clear()
        recovery_s = await world.wait_recovered(gap, time.monotonic())
        assert len([reason for reason in world.said("route_failed") if "answered 404" in reason]) == 1
        await world.assert_intact()
    assert recovery_s < RESTART_MAX_S + BUSY_S
    figures(recovery_s=recovery_s)


@pytest.mark.fault(52)
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_wait_that_is_asked_for_is_kept(database: Database, form: str) -> None:
    """429 with Retry-After: no attempt before it is over, then the rows."""
    async with pushing(database.dsn) as world:
        await world.wait_arrived(await world.insert(5))
        # A date has whole seconds only.
        date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
        header = "2" if form == "seconds" else format_datetime(date, usegmt=True)
        world.live.faults.refusal = answer(429, {"Retry-After": header})
        began = time.monotonic()
        world.proxy.cut()
        await wait_until(lambda: "too many requests, we wait" in world.route.failure)
        attempts = world.proxy.accepted
        world.live.faults.clear()
        rows = await world.insert(5)
        await wait_until(lambda: world.proxy.accepted > attempts)
        assert time.monotonic() - began < 3.0 + RESTART_MAX_S + BUSY_S
        if form == "seconds":
            assert time.monotonic() - began >= 2.0
        else:
            assert datetime.now(UTC) >= date
        await world.wait_recovered(rows, began)
        await world.assert_intact()
