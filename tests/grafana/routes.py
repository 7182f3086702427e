"""Mappings for the tests of dashboards."""

from __future__ import annotations

from typing import Any

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.mapping import Column, Mapping, TableShape, map_table


def mapped(*columns: tuple[str, str], time: str = "timestamptz", **route: Any) -> Mapping:
    """A table ``t`` with a column ``timestamp`` and `columns` (name, type), under a route with these settings."""
    shape = TableShape("t", (Column("timestamp", time), *(Column(*column) for column in columns)), ())
    return map_table(RouteSettings(name="r", table="public.t", **{"stream": "s", **route}), shape)
