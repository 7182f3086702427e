"""The handbook and the README name nothing that is not there: commands, options, settings, variables, metrics, links.

Console blocks are parsed by the program's own command line, without running anything; TOML blocks by its own reader;
each word in code style that looks like a name of ours must occur in the sources.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from trio_bridge.cli import main
from trio_bridge.config.listen import parse_listen
from trio_bridge.config.reference import configuration_page
from trio_bridge.config.settings import ServiceSettings
from trio_bridge.config.sources import from_file, keys, split
from trio_bridge.config.values import convert
from trio_bridge.ledger import CAUSES
from trio_bridge.web.metrics import PHASES, REJECTED, RouteCollector

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md"]
IDS = [str(page.relative_to(ROOT)) for page in TEXTS]
PAGE_LINES = 150
# Keys of Grafana's and Prometheus' own files, and files that the reader makes.
ELSEWHERE = frozenset(
    {"org_role", "allow_anonymous", "rule_files", "admin_password", "postgres_password", "grafana_token"}
)

every_text = pytest.mark.parametrize("page", TEXTS, ids=IDS)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def inline(page: Path) -> list[str]:
    """What stands in code style within the text."""
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in the page's console blocks; what stands behind ``&&`` is one of its own."""
    for block in blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while "&&" in words:
                    cut = words.index("&&")
                    yield words[:cut]
                    words = words[cut + 1 :]
                yield words


def of_ours(words: list[str]) -> list[str] | None:
    """The arguments, if the command is our own."""
    if Path(words[0]).name == "trio-bridge":
        return words[1:]
    if words[1:3] == ["-m", "trio_bridge"]:
        return words[3:]
    return None


def found(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that `words` begin with, and its arguments."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None, f"there is no command {words[0]}"
        command, words = inner, words[1:]
    return command, words


@every_text
def test_commands_can_be_given_as_they_stand(page: Path) -> None:
    """Our command line takes every command: it exists, with these options, and no required one is missing."""
    for words in commands(page):
        arguments = of_ours(words)
        if arguments is not None:
            command, rest = found(arguments)
            command.make_context(command.name, rest)


@every_text
def test_modules_and_targets_exist(page: Path) -> None:
    """Each ``python -m`` names a module of this checkout, each ``make`` a target of the Makefile."""
    targets = re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE)
    for words in [*commands(page), *(code.split() for code in inline(page) if code.startswith("python -m"))]:
        if words[1:2] == ["-m"] and words[2] not in ("venv", "pip"):
            assert importlib.util.find_spec(words[2]) is not None, words
        if words[0] == "make":
            assert words[1] in targets, words


@every_text
def test_commands_in_the_text_exist(page: Path) -> None:
    """A command that the text mentions exists, and has the options that are mentioned with it."""
    for code in inline(page):
        words = code.split()
        arguments = of_ours(words) if len(words) > 1 else None
        if arguments is not None:
            command, rest = found(arguments)
            known = {name for parameter in command.params for name in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= known, code


@every_text
def test_variables_exist(page: Path) -> None:
    """Every variable is one of a setting, or one of the few others."""
    known = {*names(configuration_page(), r"TRIO_BRIDGE_[A-Z_]+"), "TRIO_BRIDGE_CONFIG", "TRIO_BRIDGE_PGBIN"}
    for variable in names(text_of(page), r"TRIO_BRIDGE_[A-Z_]*[A-Z]\b"):
        assert variable in known or variable.startswith("TRIO_BRIDGE_TEST_"), variable


@every_text
def test_toml_is_understood(page: Path, tmp_path: Path) -> None:
    """Every key of every TOML block is one of ours, with a value that it may have."""
    for block in blocks(page, "toml"):
        file = tmp_path / "bridge.toml"
        file.write_text(block)
        mistakes: list[str] = []
        for setting, given in from_file(file, mistakes).items():
            section, key = split(setting)
            convert(given, keys(section)[key])
        assert not mistakes


@every_text
def test_settings_in_the_text_exist(page: Path) -> None:
    """A setting that the text sets (``key = value``) is a key of some section, or known to be somebody else's."""
    ours = {key for section in ("postgres", "grafana", "service", "http", "route") for key in keys(section)}
    for code in inline(page):
        if assigned := re.match(r"([a-z_]+) = [\"\[0-9tf]", code):
            assert assigned[1] in ours | ELSEWHERE | {"enabled"}, code


@every_text
def test_metrics_exist(page: Path) -> None:
    """Every metric has the name under which Prometheus gets it, and labels take values that there are."""
    text = text_of(page)
    for metric in names(text, r"\btrio_bridge_[a-z_]*[a-z]\b"):
        assert metric in metrics(), metric
    known = {"reason": REJECTED, "cause": CAUSES, "phase": PHASES}
    for label, value in re.findall(r'\b(reason|cause|phase)[!=]=?~?"([^"]+)"', text):
        assert set(value.split("|")) <= set(known[label]), (label, value)


@every_text
def test_names_in_code_style_occur_in_the_sources(page: Path) -> None:
    """Log events, reasons, settings, objects of the database: what looks like such a name is in the program."""
    for code in inline(page):
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", code):
            assert any(code in known for known in (sources(), metrics(), ELSEWHERE)), code


@every_text
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file, and its anchor a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", text_of(file), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings]


def test_alerts_are_rules_of_prometheus() -> None:
    """The block is one group of rules, each with a name and a query, and the table below explains every one."""
    page = ROOT / "docs/alerts.md"
    [block] = blocks(page, "yaml")
    [group] = yaml.safe_load(block)["groups"]
    alerts = [rule["alert"] for rule in group["rules"]]
    assert all(rule["expr"] for rule in group["rules"])
    assert alerts == re.findall(r"^\| `(\w+)` \|", text_of(page), re.MULTILINE)


def test_the_deployment_uses_what_the_program_serves() -> None:
    """Probes ask paths and a port that are served; the pod has longer to stop than a drain takes."""
    [block] = blocks(ROOT / "docs/deployment.md", "yaml")
    pod = yaml.safe_load(block)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    app = text_of(ROOT / "trio_bridge/web/app.py")
    for probe in ("livenessProbe", "readinessProbe"):
        assert f'"{container[probe]["httpGet"]["path"]}"' in app
    listen = parse_listen(
        {entry["name"]: entry["value"] for entry in container["env"]}["TRIO_BRIDGE_HTTP_LISTEN"]
    )
    assert listen is not None
    assert [port["containerPort"] for port in container["ports"]] == [listen.port]
    assert pod["terminationGracePeriodSeconds"] > ServiceSettings().drain_timeout_s


def test_the_index_lists_every_page() -> None:
    """No page is forgotten."""
    index = text_of(ROOT / "docs/README.md")
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []


def test_pages_are_short() -> None:
    """A page is read at a sitting; but a matrix is looked up, not read."""
    long = {page.name for page in PAGES if len(text_of(page).splitlines()) > PAGE_LINES}
    assert long - {"faults.md"} == set()


def names(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


@cache
def metrics() -> frozenset[str]:
    """Every name that a scrape may contain."""
    suffixes = {"counter": ("_total",), "histogram": ("", "_bucket", "_sum", "_count"), "info": ("_info",)}
    return frozenset(
        family.name + suffix
        for family in RouteCollector([]).collect()
        for suffix in suffixes.get(family.type, ("",))
    )


@cache
def sources() -> str:
    """All of the program's text."""
    files = [*(ROOT / "trio_bridge").rglob("*.py"), *(ROOT / "sql").rglob("*.sql")]
    return "\n".join(file.read_text("utf-8") for file in files)
