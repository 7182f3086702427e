"""The stack without an engine: what compose.yaml says of a service, and that service as a process of this machine.

Only what the file gives to a service is there for it: its command, its environment, the secrets and volumes that it
names. Host names and paths of the containers are replaced by those of the test's servers and folders; a secret or a
folder that the service did not ask for stays a path that does not exist.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "compose"


def composition() -> dict[str, Any]:
    """compose.yaml with its anchors and merges resolved, and its variables as they stand."""
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def services() -> dict[str, dict[str, Any]]:
    """Each service as the file describes it."""
    found: dict[str, dict[str, Any]] = composition()["services"]
    return found


def free_port() -> int:
    """A port of the loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class World:
    """What stands in for the containers' network and disks.

    Attributes:
        hosts: ``name:port`` inside the stack → the same here.
        secrets: the folder that STACK_SECRETS would name.
        volumes: a folder for each named volume, in here.
        ports: for each service the port here that stands for 9464.
    """

    hosts: dict[str, str]
    secrets: Path
    volumes: Path
    ports: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, command: list[str] | None = None) -> subprocess.Popen[str]:
        """Starts service `name` (or `command` in its place, as a health check is); the caller ends it."""
        service = services()[name]
        port = self.ports.setdefault(name, free_port())
        places = {
            **self.hosts,
            "0.0.0.0:9464": f"127.0.0.1:{port}",
            **{f"/run/secrets/{secret}": str(self._secret(secret)) for secret in service.get("secrets", ())},
            **{inside: str(self.volumes / volume) for volume, inside in _named_volumes(service)},
        }

        def here(text: str) -> str:
            # The engine makes one dollar of two.
            return _replaced(text.replace("$$", "$"), places)

        return subprocess.Popen(
            [here(word) for word in command or service["command"]],
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
                **{variable: here(text) for variable, text in service["environment"].items()},
            },
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _secret(self, name: str) -> Path:
        source = composition()["secrets"][name]["file"]
        return self.secrets / re.sub(r"^\$\{STACK_SECRETS:\?[^}]+\}/", "", source)


def _named_volumes(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Volume and path of each mount that is no folder of the host."""
    mounts = [mount.split(":") for mount in service.get("volumes", ())]
    return [(mount[0], mount[1]) for mount in mounts if not mount[0].startswith(".")]


def _replaced(text: str, places: dict[str, str]) -> str:
    for inside, outside in places.items():
        text = text.replace(inside, outside)
    return text
