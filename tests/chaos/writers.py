"""Writers that use whatever SQL a program may use, at random and reproducibly by seed.

Each runs in a thread with a connection of its own and keeps no books: the table says what was committed. A writer that
loses its connection (a crash is part of the game) connects again; any other error is a failure of the run, because the
bridge must never make a writer fail.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import psycopg

TABLE = "public.chaos"
PARTITIONS = 2

SCHEMA = f"""
CREATE SEQUENCE public.chaos_id CACHE 20;
CREATE TABLE {TABLE} (
    id bigint NOT NULL DEFAULT nextval('public.chaos_id'),
    part smallint NOT NULL,
    "timestamp" timestamptz NOT NULL DEFAULT clock_timestamp(),
    value double precision,
    note text,
    PRIMARY KEY (id, part)
) PARTITION BY LIST (part);
CREATE TABLE public.chaos_0 PARTITION OF {TABLE} FOR VALUES IN (0);
CREATE TABLE public.chaos_1 PARTITION OF {TABLE} FOR VALUES IN (1);
"""

SERVER_GONE = (None, "57P01", "57P02", "57P03")
"""What a writer is told while the server stops, crashes and starts; without a code: by libpq, not by the server."""

INSERT = f"INSERT INTO {TABLE} (part, value, note) VALUES (%s, %s, %s)"


class Writer(threading.Thread):
    """One of the writers.

    Args:
        dsn: of a superuser (one of the acts needs ``session_replication_role``).
        seed: decides everything it does.
        bulk_rows: least and most rows of a COPY.
        pause_s: longest pause between two acts.
    """

    def __init__(self, dsn: str, seed: int, *, bulk_rows: tuple[int, int], pause_s: float) -> None:
        super().__init__(name=f"writer {seed}", daemon=True)
        self.acts: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self.reconnects = 0
        self.slowest_commit_s = 0.0
        self._dsn = dsn
        self._random = random.Random(seed)
        self._bulk_rows = bulk_rows
        self._pause_s = pause_s
        self._ending = threading.Event()

    def stop(self) -> None:
        """After the act under way."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, application_name="writer") as connection:
                    self._write(connection)
            except psycopg.OperationalError as error:
                if error.sqlstate not in SERVER_GONE:
                    self.failure = error
                    return
                # The server was restarted or crashed, which is not the bridge's doing.
                self.reconnects += 1
                self._ending.wait(0.05)
            # A thread's failure is told to whoever joins it.
            except BaseException as error:  # noqa: ASYNC103
                self.failure = error
                return

    def _weights(self) -> dict[Callable[[psycopg.Connection], int], float]:
        """How often each act is chosen; an act returns how many rows it has committed."""
        return {
            self._single: 12, self._multi_row: 4, self._savepoint: 3, self._rollback: 2, self._exception_block: 2,
            self._on_conflict: 2, self._slow: 1, self._wide: 1, self._replica: 1, self._partition: 2,
            self._copy: 0.15,
        }  # fmt: skip

    def _rest(self, rows: int) -> None:  # noqa: ARG002  (a subclass keeps a rate)
        """Wait after an act that committed `rows`."""
        self._ending.wait(self._random.uniform(0, self._pause_s))

    def _write(self, connection: psycopg.Connection) -> None:
        acts = self._weights()
        while not self._ending.is_set():
            (act,) = self._random.choices(list(acts), list(acts.values()))
            began = time.monotonic()
            rows = act(connection)
            if act not in (self._slow, self._copy):
                self.slowest_commit_s = max(self.slowest_commit_s, time.monotonic() - began)
            self.acts[act.__name__.lstrip("_")] += 1
            self._rest(rows)

    def _row(self, note: str | None = None) -> tuple[int, float | None, str]:
        value = None if self._random.random() < 0.02 else self._random.uniform(-1e6, 1e6)
        text = (
            note
            if note is not None
            else self._random.choice(["", "a", "NaN?", 'q"\\', "line\nbreak", "é√", " =,"])
        )
        return self._random.randrange(PARTITIONS), value, text

    def _single(self, connection: psycopg.Connection) -> int:
        return connection.execute(INSERT, self._row()).rowcount

    def _multi_row(self, connection: psycopg.Connection) -> int:
        rows = [self._row() for _ in range(self._random.randint(2, 60))]
        values = ", ".join(["(%s, %s, %s)"] * len(rows))
        return connection.execute(
            f"INSERT INTO {TABLE} (part, value, note) VALUES {values}",
            [cell for row in rows for cell in row],
        ).rowcount

    def _savepoint(self, connection: psycopg.Connection) -> int:
        rows = 2
        with connection.transaction():
            connection.execute(INSERT, self._row())
            for _ in range(self._random.randint(1, 3)):
                undone = self._random.random() < 0.5
                with connection.transaction(force_rollback=undone):
                    connection.execute(INSERT, self._row("in a savepoint"))
                rows += not undone
            connection.execute(INSERT, self._row())
        return rows

    def _rollback(self, connection: psycopg.Connection) -> int:
        with connection.transaction(force_rollback=True):
            connection.execute(INSERT, self._row("never to be seen"))
        return 0

    def _exception_block(self, connection: psycopg.Connection) -> int:
        connection.execute(
            f"""
            DO $$ BEGIN
                INSERT INTO {TABLE} (part, value, note) VALUES (0, 1, 'before the block');
                BEGIN
                    INSERT INTO {TABLE} (part, value, note) VALUES (0, 2, 'never to be seen');
                    RAISE EXCEPTION 'no';
                EXCEPTION WHEN raise_exception THEN
                    INSERT INTO {TABLE} (part, value, note) VALUES (1, 3, 'in the handler');
                END;
            END $$
            """
        )
        return 2

    def _on_conflict(self, connection: psycopg.Connection) -> int:
        connection.execute(
            f"""
            INSERT INTO {TABLE} (id, part, value, note)
            SELECT max(id), 0, 0, 'never to be seen' FROM {TABLE} WHERE part = 0 HAVING max(id) IS NOT NULL
            ON CONFLICT DO NOTHING
            """
        )
        return connection.execute(INSERT + " ON CONFLICT DO NOTHING", self._row()).rowcount

    def _slow(self, connection: psycopg.Connection) -> int:
        with connection.transaction():
            connection.execute(INSERT, self._row())
            self._ending.wait(self._random.uniform(0.2, 1.0))
            connection.execute(INSERT, self._row())
        return 2

    def _wide(self, connection: psycopg.Connection) -> int:
        return connection.execute(INSERT, self._row("é" * 4500)).rowcount

    def _replica(self, connection: psycopg.Connection) -> int:
        connection.execute("SET session_replication_role = replica")
        rows = connection.execute(INSERT, self._row("no trigger fired")).rowcount
        connection.execute("SET session_replication_role = origin")
        return rows

    def _partition(self, connection: psycopg.Connection) -> int:
        part, value, note = self._row()
        return connection.execute(
            f"INSERT INTO {TABLE}_{part} (part, value, note) VALUES (%s, %s, %s)",
            (part, value, note),
        ).rowcount

    def _copy(self, connection: psycopg.Connection) -> int:
        rows = self._random.randint(*self._bulk_rows)
        part = self._random.randrange(PARTITIONS)
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY {TABLE} (part, value, note) FROM STDIN") as copy,
        ):
            line = f"{part}\t1.5\tbulk\n" * 1000
            for _ in range(rows // 1000):
                copy.write(line)
        return cursor.rowcount
