"""How a defect gets into the product and out again: its own source with a few words changed, or a function around it.

A change names what it expects to find; if the product no longer reads like that, planting fails instead of planting
nothing. Everything is undone when the block ends.
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Change(Protocol):
    """A part of a defect."""

    def make(self, stack: ExitStack) -> None:
        """Make the change; `stack` undoes it."""


@dataclass(frozen=True)
class Edit:
    """`function` of `owner` (class or module) compiled anew from its own source, `old` (found once) replaced by `new`.

    Further lines of both are indented as much more than the first as they say.

    Attributes:
        names: what `new` uses and the function's module does not have: made anew each time it is planted.
    """

    owner: Any
    function: str
    old: str
    new: str
    names: Mapping[str, Callable[[], Any]] = field(default_factory=dict)

    def make(self, stack: ExitStack) -> None:
        """See `Change`."""
        present = inspect.getattr_static(self.owner, self.function)
        plain = inspect.unwrap(getattr(present, "__func__", present))
        source = _sources.get(plain) or textwrap.dedent(inspect.getsource(plain))
        source = _changed(source, self.old, self.new)
        module = sys.modules[plain.__module__]
        for name, value in self.names.items():
            _replace(stack, module, name, value())
        made: dict[str, Any] = {}
        code = compile(
            source, f"planted in {self.function}", "exec", flags=__future__.annotations.compiler_flag
        )
        exec(code, vars(module), made)
        (changed,) = made.values()
        # A second edit of the same function starts from this one.
        _sources[inspect.unwrap(getattr(changed, "__func__", changed))] = source
        _replace(stack, self.owner, self.function, changed)


@dataclass(frozen=True)
class Around:
    """`function` of `owner` replaced by what `wrap` makes of it."""

    owner: Any
    function: str
    wrap: Callable[[Any], Any]

    def make(self, stack: ExitStack) -> None:
        """See `Change`."""
        _replace(stack, self.owner, self.function, self.wrap(getattr(self.owner, self.function)))


@dataclass(frozen=True)
class Entry:
    """`table[key]` replaced."""

    table: dict[Any, Any]
    key: Any
    value: Any

    def make(self, stack: ExitStack) -> None:
        """See `Change`."""
        stack.callback(self.table.__setitem__, self.key, self.table[self.key])
        self.table[self.key] = self.value


@dataclass(frozen=True)
class Defect:
    """A fault of reasoning, as code.

    Attributes:
        name: short.
        fault: what its author would have believed.
        changes: that make it.
        beyond: another defect that this one contains: it is found only where that one is not.
        in_model: it lives in SQL, so it is planted in the model that stands for the SQL.
    """

    name: str
    fault: str
    changes: tuple[Change, ...]
    beyond: Defect | None = None
    in_model: bool = False

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The product has it while the block runs."""
        with ExitStack() as stack:
            for change in self.changes:
                change.make(stack)
            yield


def _changed(source: str, old: str, new: str) -> str:
    first = old.partition("\n")[0]
    found: list[str] = []
    for line in source.splitlines():
        margin = "\n" + line[: len(line) - len(line.lstrip())]
        whole = old.replace("\n", margin)
        if first in line and whole in source:
            found += [source.replace(whole, new.replace("\n", margin), 1)] * line.count(first)
    if len(found) != 1:
        raise LookupError(f"found {len(found)} times, not once: {old}")
    return found[0]


# Of functions that an edit has made, which no file holds.
_sources: dict[Any, str] = {}


def _replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)
