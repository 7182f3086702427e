"""The security page names tests that exist, all of ours, and a policy that fits the deployment."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text("utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_is_named_exists() -> None:
    """Under its name, in its file."""
    assert len(NAMED) > 25
    assert [
        f"{file}::{name}"
        for file, name in NAMED
        if not re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE)
    ] == []


def test_every_file_of_security_tests_is_named() -> None:
    """Nothing is tested here of which the page does not say what for; this file apart."""
    named = {file for file, _ in NAMED}
    ours = {f"security/{file.name}" for file in Path(__file__).parent.glob("test_*.py")}
    assert ours - named == {"security/test_documents.py"}


def test_every_attacker_is_told_what_stops_them() -> None:
    """Each row of the table has what they can do and what stops them, and a test, or says that nothing does."""
    (table,) = re.findall(r"^\| attacker \|.*?(?:\n\|.*)+", PAGE, re.MULTILINE)
    for row in table.splitlines()[2:]:
        _, can, stops, test = (cell.strip() for cell in row.strip("|").split("|"))
        assert can
        assert stops
        assert test or stops.startswith("nothing"), row


def test_the_policy_fits_the_deployment() -> None:
    """It selects the pods of the deployment, by a port that they have."""
    policy, deployment = (
        yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0])
        for text in (PAGE, DEPLOYMENT)
    )
    pod = deployment["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} <= ports
    security = pod["spec"]["securityContext"], pod["spec"]["containers"][0]["securityContext"]
    assert security[0]["runAsNonRoot"]
    assert security[0]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security[1]["readOnlyRootFilesystem"]
    assert not security[1]["allowPrivilegeEscalation"]


def test_whoever_finds_something_knows_where_to_say_it() -> None:
    """SECURITY.md names a way that is nobody's address, and leads to the page."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "private vulnerability report" in text
    assert "docs/security.md" in text
    assert "@" not in text
