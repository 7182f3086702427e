"""The engine: hops in their order → one finding each.

A hop names those it needs. When one of them has failed, or was not tried itself, the hop is not tried either: what it
would say is no news. A check returns its verdict or raises: a `ConfigError` is the operator's, any other `BridgeError`
belongs to the hop's class. Anything else is a bug and passes through.

Never waits by itself and opens nothing: a check brings its own deadline and its own resources. No secret that it was
told of appears in a finding, whoever sent it back to us.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trio_bridge.errors import BridgeError, ConfigError

Status = Literal["ok", "warning", "failed", "skipped"]

POSTGRES: Final = 3
"""Exit code: Postgres cannot be reached or used."""

TABLE: Final = 4
"""Exit code: the table or the installation is not as it must be."""

GRAFANA: Final = 5
"""Exit code: Grafana cannot be reached, or does not let us push."""

READ_BACK: Final = 6
"""Exit code: what is pushed does not come back as a panel would see it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one hop is like.

    Attributes:
        hop: its name, e.g. ``postgres login``.
        status: ``warning``: rows flow, but not as well as they could; ``skipped``: not tried.
        sentence: what was found.
        remedy: what to do, a command where one does it; empty where nothing is to be done.
        exit_code: of the program, should this be the first hop that failed; 0 unless it failed.
    """

    hop: str
    status: Status
    sentence: str
    remedy: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check returns; see `Finding`."""

    status: Status
    sentence: str
    remedy: str = ""


def ok(sentence: str) -> Verdict:
    """All right."""
    return Verdict("ok", sentence)


def warning(sentence: str, remedy: str) -> Verdict:
    """Rows flow all the same."""
    return Verdict("warning", sentence, remedy)


def failed(sentence: str, remedy: str) -> Verdict:
    """Here the chain is broken."""
    return Verdict("failed", sentence, remedy)


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing to look at.

    Attributes:
        name: unique.
        exit_code: its class: `POSTGRES`, `TABLE`, `GRAFANA` or `READ_BACK`.
        check: looks.
        needs: names of hops that come earlier and must be all right.
        remedy: what to do about an error that the check raises.
    """

    name: str
    exit_code: int
    check: Callable[[], Awaitable[Verdict]]
    needs: tuple[str, ...]
    remedy: str


async def walk(
    hops: Iterable[Hop], *, report: Callable[[Finding], None], secrets: Sequence[str] = ()
) -> list[Finding]:
    """Looks at each of `hops` in order; `report` hears of each finding at once.

    Args:
        hops: each after those it needs.
        report: is called with each finding.
        secrets: never to be shown.
    """
    findings: list[Finding] = []
    broken: set[str] = set()
    for hop in hops:
        blocking = next((name for name in hop.needs if name in broken), None)
        if blocking is None:
            finding = await _finding(hop, secrets)
        else:
            finding = Finding(hop.name, "skipped", f"not tried: {blocking} comes first")
        if finding.status in ("failed", "skipped"):
            broken.add(hop.name)
        findings.append(finding)
        report(finding)
    return findings


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the first hop that failed; 0 if none did."""
    return next((finding.exit_code for finding in findings if finding.status == "failed"), 0)


async def _finding(hop: Hop, secrets: Sequence[str]) -> Finding:
    code = hop.exit_code
    try:
        verdict = await hop.check()
    except BridgeError as error:
        if isinstance(error, ConfigError) and hop.exit_code != TABLE:
            code = ConfigError.exit_code
        verdict = failed(str(error), hop.remedy)
    return Finding(
        hop.name,
        verdict.status,
        _masked(verdict.sentence, secrets),
        _masked(verdict.remedy, secrets),
        code if verdict.status == "failed" else 0,
    )


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text
