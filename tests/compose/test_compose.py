"""compose.yaml against the specification's schema, and against our own rules for a stack that strangers start."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import compose_spec
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from tests.compose.stack import FOLDER, composition, services
from trio_bridge.grafana.provisioning import DASHBOARDS
from trio_bridge.grafana.shipped import SOURCE

ALL = sorted(services())
OURS = ["bootstrap", "bridge", "bridge-2", "writer"]

# Known to an engine 20.10 and the first Compose 2 releases; start_interval, for one, came with engine 25.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "mem_limit", "networks",
    "pids_limit", "ports", "profiles", "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "tmpfs",
    "user", "volumes",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}


def parse(document: dict[str, Any]) -> compose_spec.PyCompose:
    """As the specification reads it; the library does not know YAML's merges, so they are resolved before."""
    parsed = compose_spec.PyCompose.from_json(json.dumps(document))
    parsed.validate()
    return parsed


def test_the_file_is_valid() -> None:
    """The schema accepts it, and every secret and volume that a service names is there."""
    assert sorted(parse(composition()).service_names()) == ALL
    mounts = [mount.split(":")[0] for service in services().values() for mount in service.get("volumes", ())]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(composition()["volumes"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda service: service.update(read_onl=True),
        lambda service: service["depends_on"].update(postgres={"condition": "healthy"}),
        lambda service: service["healthcheck"].update(interval="soon"),
        lambda service: service.update(secrets=["nobody_knows"]),
        lambda service: service.update(tmpfs=["relative"]),
    ],
)
def test_the_validation_finds_mistakes(spoil: Callable[[dict[str, Any]], None]) -> None:
    """A check that cannot fail is none."""
    document = copy.deepcopy(composition())
    spoil(document["services"]["grafana"])
    with pytest.raises(ValueError, match=r"\w"):
        parse(document)


def test_the_stack_is_what_was_promised() -> None:
    """Five services come up; the second bridge and Prometheus only with their profiles."""
    profiles = {name: service.get("profiles") for name, service in services().items()}
    assert profiles == {
        "postgres": None,
        "grafana": None,
        "bootstrap": None,
        "bridge": None,
        "writer": None,
        "bridge-2": ["ha"],
        "prometheus": ["metrics"],
    }
    assert services()["writer"]["command"][:4] == ["python", "-m", "trio_bridge", "feed"]


@pytest.mark.parametrize("name", ALL)
def test_nobody_has_more_rights_than_they_need(name: str) -> None:
    """Not root, no capability, none to be got, bounded processes, nothing to be written but volumes and tmpfs."""
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    # And nothing else: the engine's own seccomp and AppArmor profiles stay in force.
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert 0 < service["pids_limit"] <= 256
    assert "mem_limit" in service or name not in OURS
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert service["tmpfs"]
    for mount in service.get("volumes", ()):
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert rest.endswith(":ro"), mount
            assert (FOLDER / source).exists(), mount


@pytest.mark.parametrize("name", ALL)
def test_only_the_loopback_is_open(name: str) -> None:
    """No port of the stack can be reached from another machine."""
    for port in services()[name].get("ports", ()):
        assert port.startswith("127.0.0.1:"), port


def test_nobody_reaches_more_than_they_need() -> None:
    """Who talks to whom, by the networks they share: a writer to Postgres only, Prometheus to bridges only."""
    networks = {name: set(service["networks"]) for name, service in services().items()}
    reach = {
        name: {other for other in ALL if other != name and own & networks[other]}
        for name, own in networks.items()
    }
    assert reach["writer"] == {"postgres"}
    assert reach["prometheus"] == {"bridge", "bridge-2"}
    assert reach["postgres"] == {"bootstrap", "bridge", "bridge-2", "grafana", "writer"}
    assert reach["grafana"] == {"bootstrap", "bridge", "bridge-2", "postgres"}
    assert set.union(*networks.values()) == set(composition()["networks"])


def test_a_password_is_never_sent_in_the_clear() -> None:
    """Without TLS whoever answers as Postgres could ask for it: libpq refuses all but SCRAM."""
    for name in OURS:
        options = conninfo_to_dict(services()[name]["environment"]["TRIO_BRIDGE_POSTGRES_DSN"])
        assert (options["sslmode"], options["require_auth"]) == ("disable", "scram-sha-256")


def test_a_secret_goes_to_who_needs_it() -> None:
    """Passwords to both ends and to bootstrap alone; the token to the bridges, to be read."""
    having = {
        secret: {name for name, service in services().items() if secret in service.get("secrets", ())}
        for secret in composition()["secrets"]
    }
    assert having == {
        "postgres_password": {"postgres", "bootstrap"},
        "grafana_password": {"grafana", "bootstrap"},
        "bridge_password": {"postgres", "bridge", "bridge-2"},
        "writer_password": {"postgres", "writer"},
        "viewer_password": {"postgres", "grafana"},
    }
    token = {
        name: mount
        for name in ALL
        for mount in services()[name].get("volumes", ())
        if mount.startswith("token:")
    }
    assert token.keys() == {"bootstrap", "bridge", "bridge-2"}
    assert all(token[name].endswith(":ro") for name in ("bridge", "bridge-2"))


@pytest.mark.parametrize("name", ALL)
def test_an_old_engine_knows_every_key(name: str) -> None:
    """Nothing that an engine 20.10 with Compose 2 would refuse; commands are lists of words."""
    service = services()[name]
    assert set(service) <= SERVICE_KEYS
    assert set(service.get("healthcheck", ())) <= HEALTH_KEYS
    assert isinstance(service.get("command", []), list)


@pytest.mark.parametrize("name", ALL)
def test_images_are_pinned(name: str) -> None:
    """A tag that begins with a version, or our own image; Grafana is of one version, 12 or newer."""
    image = services()[name]["image"]
    assert ("build" in services()[name]) == (image == "trio_bridge:local") == (name in OURS)
    if name not in OURS:
        assert re.fullmatch(r"[\w/-]+:v?\d+(\.\d+)*", image)


def test_versions_of_postgres_and_grafana() -> None:
    """PostgreSQL 17; one exact version of Grafana."""
    assert services()["postgres"]["image"] == "postgres:17"
    found = re.fullmatch(r"grafana/grafana:(\d+)\.\d+\.\d+", services()["grafana"]["image"])
    assert found
    assert int(found[1]) >= 12


def test_no_password_is_anywhere() -> None:
    """Secrets are files below a folder that must be named; no variable has a default; no environment has a password."""
    text = (FOLDER / "compose.yaml").read_text()
    variables = re.findall(r"\$\{(\w+)(.{2})", text)
    assert set(variables) == {("STACK_SECRETS", ":?")}
    for secret in composition()["secrets"].values():
        assert set(secret) == {"file"}
        assert secret["file"].startswith("${STACK_SECRETS:?")
    for service in services().values():
        secrets = {f"/run/secrets/{name}" for name in service.get("secrets", ())}
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert variable.endswith("_FILE")
                assert value in secrets
            assert not re.search(r"://[^/@]*:[^/@]*@", value), variable


def test_services_wait_for_what_they_need() -> None:
    """Who waits for a healthy service waits for one with a health check; bootstrap is over before a bridge begins."""
    for service in services().values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services()[needed]
            else:
                assert (how["condition"], needed) == ("service_completed_successfully", "bootstrap")
                assert services()[needed]["restart"] == "no"
    for name in ("bridge", "bridge-2", "writer"):
        assert "bootstrap" in services()[name]["depends_on"]


def test_bridges_are_asked_whether_they_are_ready() -> None:
    """By the program's own command, and their drain fits into the time they are given to stop."""
    for name in ("bridge", "bridge-2"):
        service = services()[name]
        assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "trio_bridge", "healthcheck"]
        assert int(service["stop_grace_period"].removesuffix("s")) > 5


def test_grafana_finds_what_is_provisioned() -> None:
    """The folders that its files name are mounted, and the viewer's password is among its secrets."""
    grafana = services()["grafana"]
    mounted = [mount.split(":")[1] for mount in grafana["volumes"]]
    assert {DASHBOARDS, "/etc/grafana/provisioning", "/etc/grafana/grafana.ini"} <= set(mounted)
    assert SOURCE.password == "$__file{/run/secrets/viewer_password}"
    assert "viewer_password" in grafana["secrets"]
    assert SOURCE.url.partition(":")[0] in services()
    assert SOURCE.database == services()["postgres"]["environment"]["POSTGRES_DB"]


def test_prometheus_scrapes_the_bridges() -> None:
    """Its targets are services that serve figures there."""
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scrape for group in job["static_configs"] for target in group["targets"]]
    for target in targets:
        name, port = target.split(":")
        assert services()[name]["environment"]["TRIO_BRIDGE_HTTP_LISTEN"] == f"0.0.0.0:{port}"
