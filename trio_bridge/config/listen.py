"""Where to listen, as an operator writes it: ``127.0.0.1:9464``, ``[::1]:9464``, ``:9464`` (everywhere), ``off``.

Pure. A host's name is not resolved here.
"""

from __future__ import annotations

from typing import NamedTuple

from trio_bridge.errors import ConfigError

OFF = ("off", "")
"""What switches it off. The word is needed because an empty environment variable counts as not set."""


class Listen(NamedTuple):
    """An address to listen at; port 0: a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """How to reach it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  (compared, not bound)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def parse_listen(text: str) -> Listen | None:
    """The address in `text`; None: off.

    Raises:
        ConfigError: it is no address.
    """
    if text in OFF:
        return None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigError('write host:port, [IPv6]:port, :port for every interface, or "off"')
    return Listen(host or "0.0.0.0", int(port))  # noqa: S104  (the operator wrote it so)
