"""What every test may use: a real PostgreSQL (`pg`), a database of its own (`database`), and a deadline.

Each async test is cancelled and fails at an absolute deadline (30 s, or what
``@pytest.mark.deadline(seconds)`` says), so a hang is a failure with a traceback that points at the wait.
Under a virtual clock the limit is a virtual day.

A test whose captured output tells a token or a database password fails (see `tests.security.canary`).

A test of a fault says which with ``@pytest.mark.fault(number)`` and what it measured with `figures`
(see `tests.faults`). What takes minutes at its full length asks `full_length`.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Awaitable, Callable, Generator, Iterator

import pytest
import trio
from hypothesis import HealthCheck, settings

from tests.faults import figures as recorded
from tests.faults.report import test_name
from tests.pg import Database
from tests.security.canary import Made
from trio_bridge.demo.postgres import EmbeddedPostgres

DEADLINE_S = 30.0
VIRTUAL_DEADLINE_S = 86_400.0

_FAILED = pytest.StashKey[bool]()

_numbers = itertools.count(1)

_made = Made()
_made.watch()

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def pg() -> Iterator[EmbeddedPostgres]:
    """The server of the whole run, started by the first test that asks, without fsync. Never stop it."""
    with EmbeddedPostgres(fsync=False) as server:
        yield server


@pytest.fixture
def database(pg: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh database; a test that leaves a session behind fails."""
    fresh = Database(pg, f"test_{next(_numbers)}")
    pg.create_database(fresh.name)
    try:
        yield fresh
        left = fresh.wait_no_sessions()
    finally:
        pg.drop_database(fresh.name)
    assert not left, f"the test left sessions behind: {left}"


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """``figures(detection_s=0.02, duplicates=117)``: what this test measured, for ``docs/faults.md``.

    Of a test with parameters the last one's figures stay, unless their names tell them apart.
    """
    measured: recorded.Figures = {}

    def note(**numbers: float) -> None:
        measured.update(numbers)

    yield note
    failed = request.node.stash.get(_FAILED, False)
    if measured and not failed and request.config.getoption("--record-figures"):
        name = test_name(request.node.nodeid)
        recorded.save({name: recorded.load().get(name, {}) | measured})


@pytest.fixture
def full_length(request: pytest.FixtureRequest) -> bool:
    """Whether faults last as long as they would in life (``--full-length``), or as short as still proves something."""
    return bool(request.config.getoption("--full-length"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remembers a failure until the fixtures end; judges what was said."""
    report = yield
    _made.judge(report)
    if report.failed:
        item.stash[_FAILED] = True
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the fault matrix."""
    group = parser.getgroup("faults")
    group.addoption("--record-figures", action="store_true", help="keep what fault tests measure")
    group.addoption(
        "--full-length", action="store_true", help="faults last as long as in life: takes minutes"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known: they are strict."""
    config.addinivalue_line(
        "markers", f"deadline(seconds): limit of an async test, instead of {DEADLINE_S:.0f} s"
    )
    config.addinivalue_line("markers", "fault(*numbers): the test makes these faults of the matrix happen")
    config.addinivalue_line(
        "markers", "planted: the product has a defect while the test runs, which must be found"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the deadline around each async test, below pytest-trio's own wrapper."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        mark = item.get_closest_marker("deadline")
        virtual = {"autojump_clock", "mock_clock"} & set(item.fixturenames)
        seconds = mark.args[0] if mark else VIRTUAL_DEADLINE_S if virtual else DEADLINE_S
        hypothesis = getattr(item.obj, "hypothesis", None)
        if hypothesis is not None:
            if inspect.iscoroutinefunction(hypothesis.inner_test):
                hypothesis.inner_test = _limited(hypothesis.inner_test, seconds)
        elif inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj, seconds)


def _limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(*arguments: object, **fixtures: object) -> None:
        with trio.fail_after(seconds):
            await test(*arguments, **fixtures)

    return limited
