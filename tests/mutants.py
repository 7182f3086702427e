"""``python -m tests.mutants``: change the pure cores piece by piece, and see whether a test notices.

mutmut does it, on a copy of the tree that it may litter, one mutant after another; ``pyproject.toml`` says in which
modules and against which tests. It leaves decorated functions alone, and with them every property, where half of our
decisions stand: here it is taught properties. Constants and the defaults of dataclasses it does not change.

Prints for each module how many mutants died, and the difference that each survivor makes; what may survive, and why,
is told in ``docs/mutation.md``. Names limit the run: ``python -m tests.mutants 'trio_bridge.feedback*'``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import libcst as cst
from hypothesis import Phase, settings
from libcst import matchers
from mutmut.mutation import file_mutation

_NOT_COPIED = (".git", ".venv", "node_modules", "__pycache__", ".hypothesis", ".*_cache", "mutants", "out")


def main() -> None:
    """The command."""
    names = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="trio-bridge-mutants-") as directory:
        tree = Path(directory) / "tree"
        # Links become what they lead to: mutmut copies no linked folder.
        shutil.copytree(Path.cwd(), tree, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        os.chdir(tree)
        # Tests are imported once more, out of the copy of the copy.
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        _teach_properties()
        # A failure is enough: nobody reads the least example. Tests take over what they do not set themselves.
        settings.register_profile("no shrinking", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("no shrinking")
        # Reads the configuration of the current directory as it is imported.
        from mutmut.__main__ import _run

        try:
            _run(names, 1)
        finally:
            _tell()
            os.chdir("/")


def _teach_properties() -> None:
    """A property is a method like any other: its mutants are plain methods that the trampoline below it calls."""
    module: Any = file_mutation
    visitor = module.MutationVisitor
    skips, arrange = visitor._skip_node_and_children, module.function_trampoline_arrangement

    def skip(self: Any, node: cst.CSTNode) -> bool:
        return not _is_property(node) and skips(self, node)

    def arranged(function: cst.FunctionDef, mutants: Iterable[Any], class_name: str | None) -> Any:
        declared, (trampoline, *versions), assigned, names = arrange(function, mutants, class_name)
        if _is_property(function):
            versions = [version.with_changes(decorators=[]) for version in versions]
        return declared, [trampoline, *versions], assigned, names

    visitor._skip_node_and_children = skip
    module.function_trampoline_arrangement = arranged


def _is_property(node: cst.CSTNode) -> bool:
    property_alone = matchers.FunctionDef(decorators=[matchers.Decorator(matchers.Name("property"))])
    return matchers.matches(node, property_alone)


def _tell() -> None:
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    for path, exit_codes in _results():
        tried = {name: code for name, code in exit_codes.items() if code is not None}
        if not tried:
            continue
        fates = Counter(status_by_exit_code[code] for code in tried.values())
        dead = fates["killed"] + fates["timeout"]
        print(f"\n{path}: {dead} of {len(tried)} killed ({100 * dead / len(tried):.1f} %): {dict(fates)}")  # noqa: T201
        for name, code in tried.items():
            if status_by_exit_code[code] not in ("killed", "timeout"):
                print(f"\n{name} ({status_by_exit_code[code]})\n{get_diff_for_mutant(name)}")  # noqa: T201


def _results() -> Iterator[tuple[str, dict[str, int | None]]]:
    for file in sorted(Path("mutants").rglob("*.py.meta")):
        yield (
            str(file.relative_to("mutants").with_suffix("")),
            json.loads(file.read_text())["exit_code_by_key"],
        )


if __name__ == "__main__":
    main()
