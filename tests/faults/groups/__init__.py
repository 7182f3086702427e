"""The faults by group, in the order of the matrix; a number is for good."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.faults.fault import Fault, Group


def all_groups() -> list[Group]:
    """Every group, by its lowest number."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return sorted((module.GROUP for module in modules), key=lambda group: min(group.faults))


def all_faults() -> dict[int, Fault]:
    """Every fault by its number."""
    faults: dict[int, Fault] = {}
    for group in all_groups():
        assert not faults.keys() & group.faults.keys(), f"numbers twice in {group.name}"
        faults |= group.faults
    return faults
