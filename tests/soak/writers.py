"""Writers of the soak: chaos' own, at a steady rate, and one whose transactions are long.

A rate is kept in rows, not in statements: what a transaction committed is paid for by the rest after it. An outage is
not made up for: the debt is forgotten beyond a second, or every fault would be followed by a burst.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from tests.chaos.writers import INSERT, Writer

MOST_DEBT_S = 1.0


class SteadyWriter(Writer):
    """Transactions of one row and of many, savepoints, roll-backs, now and then a wide row.

    Args:
        dsn: of a superuser.
        seed: decides everything it does.
        rate: rows a second; may be changed while it runs.
    """

    def __init__(self, dsn: str, seed: int, *, rate: float) -> None:
        super().__init__(dsn, seed, bulk_rows=(0, 0), pause_s=0)
        self.rate = rate
        self._due = time.monotonic()

    def _weights(self) -> dict[Callable[[psycopg.Connection], int], float]:
        return {
            self._single: 12, self._multi_row: 4, self._savepoint: 3, self._rollback: 2, self._exception_block: 2,
            self._on_conflict: 2, self._slow: 0.2, self._wide: 0.5, self._replica: 1, self._partition: 2,
        }  # fmt: skip

    def _rest(self, rows: int) -> None:
        now = time.monotonic()
        self._due = max(self._due + max(rows, 1) / self.rate, now - MOST_DEBT_S)
        self._ending.wait(max(0.0, self._due - now))


class LongWriter(Writer):
    """One transaction after another that stays open for a while; what it wrote first becomes visible last.

    Args:
        dsn: where to.
        seed: decides everything it does.
        open_s: shortest and longest time that a transaction stays open.
        pause_s: longest time between two.
    """

    def __init__(self, dsn: str, seed: int, *, open_s: tuple[float, float], pause_s: float) -> None:
        super().__init__(dsn, seed, bulk_rows=(0, 0), pause_s=pause_s)
        self._open_s = open_s

    def _weights(self) -> dict[Callable[[psycopg.Connection], int], float]:
        return {self._long: 1}

    def _long(self, connection: psycopg.Connection) -> int:
        with connection.transaction():
            connection.execute(INSERT, self._row("at the beginning of a long transaction"))
            self._ending.wait(self._random.uniform(*self._open_s))
            connection.execute(INSERT, self._row("at its end"))
        return 2
