"""``python -m tests.security.fuzz_by_coverage -max_total_time=600``: as `fuzz`, but coverage decides what is tried.

Needs atheris, which is no dependency of the tests: ``pip install atheris``. The first byte of an input chooses the
mapping, two bytes 0xFF end a row. Takes libFuzzer's options; ends with exit code 77 and the input if a page breaks one
of the promises.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Runs until libFuzzer has enough; it ends the process."""
    atheris: Any = importlib.import_module("atheris")
    # Before anybody else imports it: only what is imported inside of the block tells where it goes.
    with atheris.instrument_imports(include=["trio_bridge.decoder"]):
        fuzz = importlib.import_module("tests.security.fuzz")
    names = list(fuzz.MAPPINGS)

    def one(data: bytes) -> None:
        if data:
            fuzz.Judge(names[data[0] % len(names)], fuzz.Counts()).page(data[1:].split(b"\xff\xff"))

    atheris.Setup([sys.argv[0], "-max_len=512", *sys.argv[1:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
