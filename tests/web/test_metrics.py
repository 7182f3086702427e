"""What Prometheus is told: a lint over names and words, zeros from the start, and books that close after chaos."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest
import trio
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import trio_bridge.decoder
from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import CHANNEL_ROUTE, TABLE, TABLE_ROUTE, resting, serving
from trio_bridge.ledger import CAUSES
from trio_bridge.live.server import LiveServer
from trio_bridge.web.metrics import ALTERED, REJECTED, make_registry

LABELS = {"route", "reason", "cause", "phase", "mode", "channel", "le"}
UNITS = ("_seconds", "_bytes", "_ratio")
NO_BASE_UNIT = ("_ms", "_milliseconds", "_us", "_ns", "_minutes", "_kb", "_kib", "_percent")


def scraped(text: str) -> dict[str, Metric]:
    return {
        family.name: family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("trio_bridge")
    }


def total(families: dict[str, Metric], name: str) -> float:
    return sum(sample.value for sample in families[name].samples)


@pytest.fixture
def at_rest() -> dict[str, Metric]:
    """A scrape before anything has happened."""
    return scraped(generate_latest(make_registry(resting(TABLE_ROUTE, CHANNEL_ROUTE))).decode())


def test_names_and_help_pass_the_lint(at_rest: dict[str, Metric]) -> None:
    """Names in small letters with base units, counters that end in _total, a sentence of help for each."""
    assert len(at_rest) > 25
    for name, family in at_rest.items():
        assert re.fullmatch(r"trio_bridge(_[a-z]+)+", name), name
        assert not name.endswith(NO_BASE_UNIT), name
        assert family.documentation.endswith("."), name
        assert len(family.documentation) > 20, name
        assert family.type in ("counter", "gauge", "histogram"), name
        if family.type == "histogram":
            assert name.endswith(UNITS), name
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples)
        else:
            assert not any(sample.name.endswith("_total") for sample in family.samples)


def test_labels_are_bounded(at_rest: dict[str, Metric]) -> None:
    """Every label is known, its values come from closed sets or the configuration, and each route has every series."""
    for name, family in at_rest.items():
        if name == "trio_bridge_build_info":
            continue
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample
        per_route = Counter(sample.labels["route"] for sample in family.samples)
        assert per_route.keys() == {TABLE, "feed"}, name
        assert len(set(per_route.values())) == 1, name


def test_counters_begin_at_zero(at_rest: dict[str, Metric]) -> None:
    """Each counter and each bucket is there from the first scrape on, at zero, for every cause and reason."""
    for family in at_rest.values():
        if family.type in ("counter", "histogram"):
            assert {sample.value for sample in family.samples} == {0.0}, family.name
    for name, label, values in (
        ("trio_bridge_restarts", "cause", CAUSES),
        ("trio_bridge_rows_rejected", "reason", REJECTED),
        ("trio_bridge_values_altered", "reason", ALTERED),
    ):
        assert {sample.labels[label] for sample in at_rest[name].samples} == set(values)


def test_what_nobody_knows_is_no_number(at_rest: dict[str, Metric]) -> None:
    """Before the first answer its age is NaN, and so is the lag of a channel, which keeps nothing."""
    for name in ("postgres_answer_age_seconds", "grafana_answer_age_seconds", "notification_queue_ratio"):
        assert all(math.isnan(sample.value) for sample in at_rest[f"trio_bridge_{name}"].samples), name
    lag = {sample.labels["route"]: sample.value for sample in at_rest["trio_bridge_lag_seconds"].samples}
    assert math.isnan(lag["feed"])
    assert 0 <= lag[TABLE] < 60


def literals(pattern: str) -> set[str]:
    folder = Path(trio_bridge.decoder.__file__).parent
    return {word for file in folder.glob("*.py") for word in re.findall(pattern, file.read_text())}


def test_every_reason_of_the_decoder_is_known() -> None:
    """No reason for a rejection or an altered value comes into being only when it happens."""
    assert literals(r'PayloadError\(\s*"(\w+)"') == set(REJECTED)
    assert literals(r'nulled\["(\w+)"\]') == set(ALTERED)


@pytest.mark.deadline(60)
async def test_counters_reconcile_after_chaos(database: Database) -> None:
    """After sessions and sockets were cut, the figures of the two sides and of the books agree, and name the causes."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        (route,) = service.routes
        for round_ in range(6):
            await live.wait_connections(round_ + 1)
            await trio.to_thread.run_sync(insert, database.dsn, 500)
            if round_ % 2:
                live.faults.cut()
            else:
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    f"trio_bridge {TABLE}",
                )
        database.execute(f"INSERT INTO {TABLE} (timestamp, value) VALUES ('infinity', 1)")
        await live.wait_connections(7)
        await wait_until(
            lambda: route.ledger.statistics().pending == 0 and route.ledger.statistics().acknowledged >= 3000
        )
        await wait_until(lambda: sum(route.ledger.statistics().rejected.values()) >= 1)
        families = scraped((await client.get("/metrics")).text)
    rows = {
        name: total(families, f"trio_bridge_rows_{name}") for name in ("seen", "acknowledged", "returned")
    }
    rejected = total(families, "trio_bridge_rows_rejected")
    assert rows["seen"] == rows["acknowledged"] + rows["returned"] + rejected
    assert rows["acknowledged"] >= 3000
    # What was cut may have been written and never read.
    assert live.counters.messages <= total(families, "trio_bridge_messages")
    assert live.counters.rows >= 3000
    causes = {sample.labels["cause"]: sample.value for sample in families["trio_bridge_restarts"].samples}
    assert causes["postgres"] == 3
    assert causes["grafana"] == 3
    assert sum(causes.values()) == 6
    assert total(families, "trio_bridge_rows_pending") == 0
    assert total(families, "trio_bridge_unacknowledged_bytes") == 0
    counts = {
        name: sample.value
        for name in ("push_to_acknowledgement", "row_age_at_push")
        for sample in families[f"trio_bridge_{name}_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert 0 < counts["row_age_at_push"] <= total(families, "trio_bridge_messages")
    assert counts["push_to_acknowledgement"] > 0


def insert(dsn: str, rows: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, {rows}) g")


async def test_a_bell_is_timed_to_its_push(database: Database) -> None:
    """In notify mode each message that a bell caused is timed from the bell, in less time than a heartbeat."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        (route,) = service.routes
        await live.wait_connections(1)
        await wait_until(lambda: route.status.mode.value == "notify")
        for number in range(1, 6):
            await trio.to_thread.run_sync(insert, database.dsn, 1)
            await wait_until(lambda rows=number: route.ledger.statistics().acknowledged == rows)  # type: ignore[misc]
        samples = scraped((await client.get("/metrics")).text)["trio_bridge_bell_to_push_seconds"].samples
    figures = {sample.labels.get("le", sample.name): sample.value for sample in samples}
    assert figures["trio_bridge_bell_to_push_seconds_count"] == 5
    assert figures["0.5"] == 5
