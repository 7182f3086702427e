"""Findings → what a person reads in a terminal, or a program as JSON.

One line per hop; what is wrong has its remedy on the line below. Without a terminal there is neither colour nor a cut
at the edge: a line stays a line.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.text import Text

from trio_bridge.config.settings import Settings
from trio_bridge.doctor.examine import PanelHint, chosen_routes, examine, panel_hint
from trio_bridge.doctor.hops import Finding, Status, exit_code

_SIGNS: Final[dict[Status, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}


def run_doctor(settings: Settings, *, route: str | None, config: Path | None, as_json: bool) -> int:
    """Examines, prints to standard output, and returns the exit code.

    Args:
        settings: of the bridge.
        route: only this one; None: all.
        config: the file that the settings come from, for the remedies.
        as_json: one object at the end instead of a line for each hop.

    Raises:
        ConfigError: there is no such route.
    """
    routes = chosen_routes(settings, route)
    words = "" if config is None else f" --config {shlex.quote(str(config))}"
    console = Console(highlight=False)

    def report(finding: Finding) -> None:
        if not as_json:
            print_finding(console, finding)

    async def look() -> list[Finding]:
        return await examine(settings, routes, config=words, report=report)

    findings = trio.run(look)
    hints = [panel_hint(one) for one in routes]
    if as_json:
        sys.stdout.write(json_text(findings, hints) + "\n")
    else:
        print_end(console, findings, hints)
    return exit_code(findings)


def print_finding(console: Console, finding: Finding) -> None:
    """One hop."""
    sign, style = _SIGNS[finding.status]
    line = Text.assemble((f"{sign} ", style), (finding.hop, "bold"), f": {finding.sentence}")
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"  → {finding.remedy}", style="cyan"), soft_wrap=True)


def print_end(console: Console, findings: Sequence[Finding], hints: Sequence[PanelHint]) -> None:
    """What it comes to: the panels' targets if all is well, else the first broken hop."""
    broken = [finding for finding in findings if finding.status == "failed"]
    console.print()
    if broken:
        console.print(Text(f"broken: {broken[0].hop}. Mend it and ask again.", style="bold"), soft_wrap=True)
        return
    warnings = sum(finding.status == "warning" for finding in findings)
    console.print(
        Text(f"all right{f', warnings: {warnings}' if warnings else ''}", style="bold green"), soft_wrap=True
    )
    for hint in hints:
        console.print(
            Text(
                f"\nroute {hint.route}\n  channel {hint.channel}\n  target  {json.dumps(hint.target)}\n"
                f"  window  {hint.window}"
            ),
            soft_wrap=True,
        )


def json_text(findings: Sequence[Finding], hints: Sequence[PanelHint]) -> str:
    """The same for a program: one object."""
    code = exit_code(findings)
    return json.dumps(
        {
            "exit_code": code,
            "findings": [asdict(finding) for finding in findings],
            "panels": [] if code else [asdict(hint) for hint in hints],
        },
        indent=2,
        ensure_ascii=False,
    )
