"""Defects in what a position covers: snapshots, deltas, pages, checkpoint."""

from __future__ import annotations

from typing import Final

from tests.simulation.defects.planting import Defect, Edit
from tests.simulation.postgres.answers import Answers
from tests.simulation.postgres.cluster import Cluster
from trio_bridge.listener.modes import Pulse
from trio_bridge.listener.table_source import _Run
from trio_bridge.postgres.delta import DeltaReader
from trio_bridge.postgres.position import Position

DEFECTS: Final = (
    Defect(
        "ids instead of snapshots",
        "What is committed later has a greater id, so `id > last` finds it.",
        (
            Edit(Answers, "delta", "def handler(_: Backend", "def handler(backend: Backend"),
            Edit(
                Answers,
                "delta",
                "for found in islice(rows, int(_text(params[1]))):",
                "last = _lasts.get(backend.pid, 0)\n"
                "newer = (found for found in rows if found.id > last)\n"
                "for found in islice(newer, int(_text(params[1]))):\n"
                "    _lasts[backend.pid] = max(_lasts.get(backend.pid, 0), found.id)",
                {"_lasts": dict},
            ),
        ),
        in_model=True,
    ),
    Defect(
        "transactions in progress forgotten",
        "Whatever is below the snapshot's xmax has been seen.",
        (
            Edit(
                DeltaReader,
                "params",
                '"{" + ",".join(str(xid) for xid in position.snapshot.xip if xid > done) + "}"',
                '"{}"',
            ),
        ),
    ),
    Defect(
        "xmin for xmax",
        "Everything from the oldest running transaction on is new.",
        (Edit(DeltaReader, "params", "str(position.snapshot.xmax)", "str(position.snapshot.xmin)"),),
    ),
    Defect(
        "each page with a snapshot of its own",
        "The newest snapshot is the best one for every page.",
        (
            Edit(DeltaReader, "params", "None if position.target is None else str(position.target)", "None"),
            Edit(Position, "advanced", "if self.target is not None and target != self.target:", "if False:"),
        ),
    ),
    Defect(
        "a full page taken for the last",
        "There are more rows only if there are more than asked for.",
        (Edit(DeltaReader, "read", "len(rows) >= asked", "len(rows) > asked"),),
    ),
    Defect(
        "rows beyond the bytes of a page forgotten",
        "A page that is not full of rows is the last.",
        (Edit(DeltaReader, "read", "more = cut or len", "more = len"),),
    ),
    Defect(
        "the rest of a transaction skipped",
        "A page's last transaction is done with the page.",
        (Edit(Answers, "_after", "if found.id > last", "if found.id > last and found.txid > txid"),),
        in_model=True,
    ),
    Defect(
        "an old snapshot for the rows, a new one for the target",
        "In a transaction the table and pg_current_snapshot() are of the same moment.",
        (
            Edit(Answers, "delta", "def handler(_: Backend", "def handler(backend: Backend"),
            Edit(
                Answers,
                "delta",
                "rows = chain.from_iterable(self._scans(span, params, view))",
                "known = _views.get(backend.pid, view)\n"
                "_views[backend.pid] = view\n"
                "rows = (found for found in chain.from_iterable(self._scans(span, params, view)) "
                "if known.sees(found.txid))",
                {"_views": dict},
            ),
        ),
        in_model=True,
    ),
    Defect(
        "the checkpoint a page ahead",
        "The page after the acknowledged one is as good as acknowledged.",
        (
            Edit(
                _Run,
                "_save",
                "self._positions[mark]",
                "self._positions.get(mark + 1, self._positions[mark])",
            ),
        ),
    ),
    Defect(
        "an empty delta moves the checkpoint at once",
        "Nothing new was found, so everything is delivered.",
        (
            Edit(
                _Run,
                "_save",
                "self._positions[mark]",
                "self._position if self._position.after is None else self._positions[mark]",
            ),
        ),
    ),
    Defect(
        "a refused checkpoint not tried again",
        "Who must not write now will not be allowed to later.",
        (
            Edit(
                Pulse,
                "decide",
                "if now >= may_save_at and demand.acked_mark > self._saved_mark:",
                "if now >= may_save_at and demand.acked_mark > self._saved_mark and not self._save_failed:",
            ),
        ),
    ),
    Defect(
        "the epoch ignored",
        "Who writes a checkpoint leads.",
        (Edit(Cluster, "write_checkpoint", "if old.epoch != epoch:", "if False:"),),
        in_model=True,
    ),
)
