"""Where the push socket of a stream is: ``grafana.url`` and a stream id in, host, port and path out.

Pure. Grafana may live below a sub-path; ``http`` means ``ws`` and ``https`` means ``wss``. The frame format
is left at Grafana's default, ``labels_column``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from trio_bridge.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class PushAddress:
    """Host, port and path of one push socket.

    Attributes:
        tls: whether the connection is encrypted.
        host: name or IP address, without brackets.
        port: TCP port.
        path: of the upgrade, e.g. ``/grafana/api/live/push/pg``.
    """

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, stream: str) -> PushAddress:
        """The address of `stream` at the Grafana that is reached by `url`.

        Raises:
            ConfigError: `url` is not ``http(s)://host[:port][/sub-path]``; the message does not repeat it.
        """
        try:
            parts = urlsplit(url.strip())
            scheme, host, port = parts.scheme, parts.hostname, parts.port
            # What cannot be a name on the network is the operator's mistake, not the network's.
            (host or "").encode("idna")
        except ValueError:
            scheme, host, port, parts = "", None, None, urlsplit("")
        if scheme not in _DEFAULT_PORTS or not host or parts.query or parts.fragment:
            raise ConfigError("grafana.url must be http(s)://host[:port][/sub-path]")
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                "grafana.url must not carry credentials: use grafana.username and password_file"
            )
        base = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        path = f"{base}/api/live/push/{quote(stream, safe='')}"
        return cls(scheme == "https", host, port or _DEFAULT_PORTS[scheme], path)

    @property
    def host_header(self) -> str:
        """What goes into the header ``Host``: no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def peer(self) -> str:
        """``host:port`` for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
