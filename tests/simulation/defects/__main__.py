"""``python -m tests.simulation.defects``: hunt for every planted defect; what found it, after how many schedules.

Ends with 1 if one stays hidden. With parts of names as arguments, only those defects. ``--seeds-only`` prints what
`tests/simulation/test_defects.py` wants to know, after the schedules or the product have changed.
"""

# ruff: noqa: T201  (it speaks to a terminal)

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tests.simulation.defects import DEFECTS
from tests.simulation.defects.hunt import Find, hunt


def main() -> int:
    """Hunt; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.defects", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help="a part of a defect's name; none: all defects"
    )
    parser.add_argument("--seeds", type=int, default=300, help="schedules to try for each")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seeds-only", action="store_true", help="print a dictionary of names and seeds")
    options = parser.parse_args()
    finds: dict[str, Find | None] = {}
    for name, defect in DEFECTS.items():
        if not options.names or any(part in name for part in options.names):
            finds[name] = find = hunt(defect, range(options.first, options.first + options.seeds))
            print(f"{name}: {'hidden' if find is None else find}", file=sys.stderr, flush=True)
    if options.seeds_only:
        print("".join(f'    "{name}": {find.seed},\n' for name, find in finds.items() if find), end="")
    else:
        Console(width=160).print(_table(finds))
    return 1 if None in finds.values() else 0


def _table(finds: dict[str, Find | None]) -> Table:
    table = Table("defect", "what its author believed", "schedules", "seed", "found as")
    for name, find in finds.items():
        where = " (in the model of the SQL)" if DEFECTS[name].in_model else ""
        found = ("-", "-", "not found") if find is None else (str(find.tried), str(find.seed), find.promise)
        table.add_row(name + where, DEFECTS[name].fault, *found)
    return table


if __name__ == "__main__":
    sys.exit(main())
