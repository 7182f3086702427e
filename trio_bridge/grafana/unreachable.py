"""Why there is no TCP or TLS connection to Grafana: the library's exception in, one error with one sentence out.

Pure. The sentences name the host, the port and what to do; the library's exceptions are read, never passed
on.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

from trio_bridge.errors import SinkError

# OpenSSL's numbers for why a certificate was not accepted (x509_vfy.h).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_NAME: Final = frozenset({62, 64})


def unreachable(error: OSError, peer: str) -> SinkError:
    """The error for a TCP connection that was not made (`trio.open_tcp_stream` raised `error`)."""
    if isinstance(error, socket.gaierror):
        return SinkError(
            f"the name in {peer} is not resolved ({error.strerror}): check grafana.url and the DNS"
        )
    numbers = {cause.errno for cause in _causes(error)}
    if errno.ECONNREFUSED in numbers:
        return SinkError(
            f"nothing listens at {peer} (connection refused): is Grafana running, is grafana.url right?"
        )
    reasons = ", ".join(sorted(os.strerror(number) for number in numbers if number)) or "no reason given"
    return SinkError(f"{peer} cannot be reached ({reasons}): check the network and grafana.url")


def no_tls(error: BaseException | None, peer: str) -> SinkError:
    """The error for a TLS handshake that failed because of `error` (None: the other side just closed)."""
    start = f"no TLS connection to {peer}"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _WRONG_NAME:
            return SinkError(
                f"{start}: its certificate is for another host, use the name in grafana.url that it bears"
            )
        if error.verify_code == _EXPIRED:
            return SinkError(f"{start}: its certificate has expired, renew it")
        if error.verify_code == _NOT_YET_VALID:
            return SinkError(f"{start}: its certificate is not valid yet, check the clocks")
        return SinkError(
            f"{start}: its certificate is not trusted ({error.verify_message}), add its authority to the system's "
            "or name its file in grafana.ca_file"
        )
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"}:
            return SinkError(
                f"{start}: it does not speak TLS there, write http:// in grafana.url or another port"
            )
        if "PROTOCOL" in reason or "HANDSHAKE_FAILURE" in reason:
            return SinkError(
                f"{start}: it offers no version or cipher that is safe today (TLS 1.2 and up), update it"
            )
        if reason not in {"", "UNEXPECTED_EOF_WHILE_READING"}:
            return SinkError(f"{start}: the handshake failed ({reason})")
    return SinkError(
        f"{start}: the other side closed in the handshake, is it Grafana or a proxy without a backend?"
    )


def _causes(error: BaseException) -> list[OSError]:
    """The errors of the single addresses behind trio's one error for all of them."""
    found = [error] if isinstance(error, OSError) and error.errno else []
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    for cause in inner:
        if cause is not None:
            found += _causes(cause)
    return found
