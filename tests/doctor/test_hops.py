"""The engine: order, dependence, exit codes."""

from __future__ import annotations

import pytest
import trio

from trio_bridge.doctor.hops import (
    GRAFANA,
    POSTGRES,
    TABLE,
    Finding,
    Hop,
    Verdict,
    exit_code,
    failed,
    ok,
    walk,
    warning,
)
from trio_bridge.errors import ConfigError, SourceError


def hop(name: str, outcome: Verdict | Exception, *needs: str, code: int = POSTGRES) -> Hop:
    async def check() -> Verdict:
        await trio.lowlevel.checkpoint()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Hop(name, code, check, needs, "the hop's own remedy")


async def walked(*hops: Hop) -> list[Finding]:
    heard: list[Finding] = []
    findings = await walk(hops, report=heard.append, secrets=["s3cr3t"])
    assert heard == findings
    return findings


async def test_what_depends_on_a_broken_hop_is_not_tried() -> None:
    """Directly or not; what does not depend on it is."""
    findings = await walked(
        hop("a", failed("no", "do")), hop("b", ok("yes"), "a"), hop("c", ok("yes"), "b"), hop("d", ok("yes"))
    )
    assert [finding.status for finding in findings] == ["failed", "skipped", "skipped", "ok"]
    assert findings[2].sentence == "not tried: b comes first"


async def test_a_warning_stops_nobody() -> None:
    """Rows flow all the same, and the exit code is 0."""
    findings = await walked(hop("a", warning("slow", "do")), hop("b", ok("yes"), "a"))
    assert [finding.status for finding in findings] == ["warning", "ok"]
    assert exit_code(findings) == 0


async def test_the_first_broken_hop_decides() -> None:
    """Over those that come later."""
    findings = await walked(
        hop("a", failed("no", "do"), code=TABLE), hop("b", failed("no", "do"), code=GRAFANA)
    )
    assert exit_code(findings) == TABLE


async def test_errors_are_findings() -> None:
    """An error of ours is a failure with the hop's remedy; a configuration's is of its own class, a table's is not."""
    findings = await walked(
        hop("a", SourceError("gone")),
        hop("b", ConfigError("no file")),
        hop("c", ConfigError("no table"), code=TABLE),
    )
    assert [finding.exit_code for finding in findings] == [3, 2, 4]
    assert findings[0] == Finding("a", "failed", "gone", "the hop's own remedy", 3)


async def test_a_bug_is_no_finding() -> None:
    """Anything else passes through."""
    with pytest.raises(ZeroDivisionError):
        await walked(hop("a", ZeroDivisionError()))


async def test_secrets_are_masked() -> None:
    """Wherever they come from."""
    [finding] = await walked(hop("a", failed("it is s3cr3t", "say s3cr3t")))
    assert (finding.sentence, finding.remedy) == ("it is ********", "say ********")
