"""TLS to Grafana: the settings' files in, a verified TLS stream over a byte stream out.

Certificates are always verified, against the system's authorities (and ``SSL_CERT_FILE``) or those of ``ca_file``
alone; nothing below TLS 1.2 is spoken. The files are read anew for each connection, so that a renewed certificate
counts. Owns nothing: whoever gave the stream closes it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeVar

import trio

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, SinkError
from trio_bridge.grafana.address import PushAddress
from trio_bridge.grafana.unreachable import no_tls

S = TypeVar("S", bound=trio.abc.Stream)


def tls_context(settings: GrafanaSettings) -> ssl.SSLContext:
    """Whose certificates to accept, and which one to show.

    Raises:
        ConfigError: a file cannot be read, or holds no certificate or key that fits.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(_sentence(settings.ca_file, "authorities' certificates", error)) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.client_cert_file is not None:
        try:
            # A key that needs a passphrase would have OpenSSL ask for it at the terminal.
            context.load_cert_chain(settings.client_cert_file, settings.client_key_file, password=lambda: "")
        except OSError as error:
            file = settings.client_key_file or settings.client_cert_file
            raise ConfigError(_sentence(file, "certificate and its unencrypted key", error)) from None
    return context


async def start_tls(
    stream: S, context: ssl.SSLContext, address: PushAddress, timeout_s: float
) -> trio.SSLStream[S]:
    """TLS over `stream`, with the host of `address` verified; `stream` is closed if that fails.

    Raises:
        SinkError: the handshake failed, or took longer than `timeout_s`; the sentence says why.
    """
    # Grafana and most proxies close without TLS' own goodbye, as all of HTTP does.
    secured = trio.SSLStream(stream, context, server_hostname=address.host, https_compatible=True)
    failure = SinkError(
        f"{address.peer} accepted the connection and did not finish the TLS handshake within {timeout_s:g} s: "
        "is it an https port?"
    )
    try:
        with trio.move_on_after(timeout_s):
            await secured.do_handshake()
            return secured
    except trio.BrokenResourceError as error:
        failure = no_tls(error.__cause__, address.peer)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    await trio.aclose_forcefully(stream)
    raise failure


def _sentence(file: Path | None, what: str, error: OSError) -> str:
    # OpenSSL's own reasons are no sentences, and say less than what was expected.
    reason = "" if isinstance(error, ssl.SSLError) else f": {error.strerror}"
    return f"{file}: no {what} can be read from it (PEM){reason}"
