"""``python -m tests.faults``: writes docs/faults.md; with ``--check`` says instead whether it is up to date."""

from __future__ import annotations

import argparse
import sys

from tests.faults.groups import all_faults
from tests.faults.report import PAGE, collect, page, prose


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if something is missing"
    )
    arguments = parser.parse_args()
    tests = collect()
    faults = all_faults()
    if unknown := sorted(tests.keys() - faults.keys()):
        sys.exit(f"tests name faults that no group knows: {unknown}")
    contrary = [
        number for number, fault in sorted(faults.items()) if (number in tests) == bool(fault.untested)
    ]
    if contrary:
        sys.exit(f"neither tested nor explained, or both: {contrary}")
    wanted = page(tests, prose())
    if not arguments.check:
        PAGE.write_text(wanted)
    elif PAGE.read_text() != wanted:
        sys.exit("docs/faults.md is not what the tests say: run `python -m tests.faults`")


if __name__ == "__main__":
    main()
