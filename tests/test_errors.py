"""The error tree: the reaction is decided by type, so the types are the promise."""

import inspect
import re

import pytest

from trio_bridge import errors
from trio_bridge.errors import (
    BridgeError,
    ConfigError,
    CredentialsRefused,
    PayloadError,
    SinkError,
    SourceError,
)


def test_the_tree_is_the_one_that_is_drawn():
    """Each class of the module stands in the drawing, below the class that it is made from."""
    drawn: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).split("\n\n")[1].splitlines():  # type: ignore[union-attr]
        name = re.search(r"[A-Z]\w+", line)
        assert name is not None
        while path and path[-1][0] >= name.start():
            path.pop()
        drawn[name[0]] = path[-1][1] if path else None
        path.append((name.start(), name[0]))
    written = {
        name: None if cls is BridgeError else cls.__bases__[0].__name__
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, Exception)
    }
    assert drawn == written


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ConfigError("x"), 2),
        (SourceError("x"), 1),
        (SinkError("x"), 1),
        (CredentialsRefused("x"), 1),
        (PayloadError("reason", "x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_the_operators_mistake_exits_with_2(error, exit_code):
    """What a supervisor of processes decides by; and each error says its sentence and nothing else."""
    assert error.exit_code == exit_code
    assert str(error) == "x"


def test_an_error_keeps_what_the_reaction_needs():
    """How long to wait, and what to count."""
    assert SinkError("x").retry_after_s is None
    assert CredentialsRefused("x", retry_after_s=7.5).retry_after_s == 7.5
    assert PayloadError("time_missing", "x").reason == "time_missing"
