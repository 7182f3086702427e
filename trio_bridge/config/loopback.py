"""Whether a host is this machine: there nobody else is on the line, and encryption protects nothing. Pure."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` (a name, an address, a folder with Postgres' socket, or nothing) never leaves this machine.

    A name is not resolved: who answers for it decides where it goes. ``localhost`` is this machine by definition
    (RFC 6761), and so are libpq's sockets, a path or an abstract ``@name``.
    """
    if not host or host.startswith(("/", "@")) or host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
