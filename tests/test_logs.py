from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from datetime import UTC, datetime

import pytest
import structlog

from trio_bridge.config.settings import ServiceSettings
from trio_bridge.logs import _Lines, to_stderr
from trio_bridge.secret import Secret

PIPE_BYTES = 65_536
SECRET = Secret("s3cr3t")


@pytest.fixture
def pipe():
    """Both ends of a pipe; a test may close either."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def logged(end: int) -> list[dict[str, object]]:
    return [json.loads(line) for line in os.read(end, PIPE_BYTES).splitlines()]


def test_one_json_object_a_line(pipe):
    """Event, level, UTC time and what was bound, whole on its own line, even with a line break in it."""
    reader, writer = pipe
    with to_stderr(ServiceSettings(), fd=writer):
        structlog.get_logger().bind(route="a").warning("no_trigger", text="two\nlines")
    (event,) = logged(reader)
    written_at = datetime.fromisoformat(str(event.pop("timestamp")))
    assert event == {"event": "no_trigger", "level": "warning", "route": "a", "text": "two\nlines"}
    assert abs((datetime.now(UTC) - written_at).total_seconds()) < 60


def test_least_level(pipe):
    """What is below the level is not written."""
    reader, writer = pipe
    with to_stderr(ServiceSettings(log_level="warning"), fd=writer):
        log = structlog.get_logger()
        log.debug("a")
        log.info("b")
        log.warning("c")
        log.error("d")
    assert [event["event"] for event in logged(reader)] == ["c", "d"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_in_values_or_tracebacks(pipe, log_format):
    """A Secret is masked wherever it stands, and a traceback shows the code but not the variables."""
    reader, writer = pipe

    def fail(token: Secret) -> None:
        revealed = token.reveal()
        raise ValueError(len(revealed))

    with to_stderr(ServiceSettings(log_format=log_format), fd=writer):
        try:
            fail(SECRET)
        except ValueError:
            structlog.get_logger().exception("failed", token=SECRET, all=[SECRET])
    text = os.read(reader, PIPE_BYTES).decode()
    assert "raise ValueError(len(revealed))" in text
    assert "s3cr3t" not in text
    assert text.count("********") == 2


@pytest.mark.fault(117)
def test_a_reader_that_does_not_read_holds_up_nobody(pipe):
    """With the pipe full, logging goes on at once and loses lines; once read, later lines tell how many."""
    reader, writer = pipe
    with to_stderr(ServiceSettings(), fd=writer):
        log = structlog.get_logger()
        started = time.monotonic()
        for number in range(3000):
            log.info("x", number=number, padding="." * 200)
        assert time.monotonic() - started < 5
        read = _read_until(reader, lambda text: b'"number": 1000,' in text)
        log.info("again")
    read += _read_rest(reader)
    events = [json.loads(line) for line in read.splitlines()]
    last = events[-1]
    assert last["event"] == "again"
    assert last["lines_lost"] == 3000 - (len(events) - 1) > 0
    numbers = [event["number"] for event in events[:-1]]
    assert numbers == sorted(numbers)


def test_leaving_does_not_wait_for_a_reader_for_ever(pipe):
    """The end of the program is bounded, whatever stands at the other end, and its thread ends with the pipe."""
    reader, writer = pipe
    started = time.monotonic()
    with to_stderr(ServiceSettings(), fd=writer):
        for _ in range(2000):
            structlog.get_logger().info("x", padding="." * 200)
    assert time.monotonic() - started < 5
    os.close(reader)
    for thread in threading.enumerate():
        if thread.name == "log":
            thread.join()


@pytest.mark.parametrize("broken", ["closed pipe", "full disk"])
@pytest.mark.fault(117)
def test_nowhere_to_write(pipe, broken):
    """A closed pipe or a full disk costs the lines, not the service; the loss is counted."""
    reader, writer = pipe
    if broken == "closed pipe":
        os.close(reader)
    else:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer)
        os.close(full)
    lines = _Lines(writer)
    lines.msg("one")
    lines.msg("two")
    lines.close()
    assert lines.add_loss(None, "info", {"event": "x"}) == {"event": "x", "lines_lost": 2}


def test_a_non_blocking_descriptor_loses_nothing(pipe):
    """A terminal that another program made non-blocking is waited for, in the thread."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    with to_stderr(ServiceSettings(), fd=writer):
        for number in range(900):
            structlog.get_logger().info("x", number=number, padding="." * 200)
        read = _read_until(reader, lambda text: b'"number": 899,' in text)
    read += _read_rest(reader)
    assert [json.loads(line)["number"] for line in read.splitlines()] == list(range(900))


def _read_until(end: int, enough) -> bytes:
    text = b""
    while not enough(text):
        assert select.select([end], [], [], 10)[0], "nothing more to read"
        text += os.read(end, PIPE_BYTES)
    return text


def _read_rest(end: int) -> bytes:
    text = b""
    while select.select([end], [], [], 0)[0]:
        text += os.read(end, PIPE_BYTES)
    return text
