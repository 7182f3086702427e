"""Whom we trust, and as whom we come: files of certificates in, a verified connection or one sentence out."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.grafana.raw_peer import TLS, listen, says
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana.push import open_push
from trio_bridge.grafana.tls import tls_context
from trio_bridge.secret import Secret

FORBIDDEN = says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


def settings(port: int = 1, **files: Any) -> GrafanaSettings:
    url = f"https://localhost:{port}"
    return GrafanaSettings(url=url, token=Secret("glsa_x"), **{"ca_file": TLS / "ca.pem", **files})


async def refusal(grafana: GrafanaSettings) -> SinkError:
    with pytest.raises(SinkError) as caught:
        async with open_push(grafana, "pg"):
            pytest.fail("the socket opened")
    return caught.value


def test_nothing_below_tls_1_2_is_spoken() -> None:
    """Whatever the system's OpenSSL would allow; and a certificate is always asked for, for the right host."""
    context = tls_context(settings())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_client_certificate_is_shown(nursery: trio.Nursery) -> None:
    """A proxy that lets in only who has a certificate lets us in with ours, and Grafana behind it is heard."""
    port = await listen(nursery, FORBIDDEN, certificate="good", asks_for_one=True)
    error = await refusal(settings(port, client_cert_file=TLS / "good.pem"))
    assert type(error) is CredentialsRefused


async def test_without_a_client_certificate_that_proxy_refuses(nursery: trio.Nursery) -> None:
    """It is an error with a sentence, not a hang."""
    port = await listen(nursery, FORBIDDEN, certificate="good", asks_for_one=True)
    error = await refusal(settings(port))
    assert type(error) is SinkError
    assert f"localhost:{port}" in str(error)


@pytest.mark.parametrize("key", ["ca_file", "client_cert_file", "client_key_file"])
@pytest.mark.parametrize(
    "content", [None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_holds_nothing_is_the_operators_mistake(
    tmp_path: Path, key: str, content: str | None
) -> None:
    """Missing, empty or damaged: one sentence with its name."""
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    files: dict[str, Any] = {"client_cert_file": TLS / "good.pem"} if key == "client_key_file" else {}
    with pytest.raises(ConfigError, match=r"file\.pem: no .* can be read from it \(PEM\)"):
        tls_context(settings(**files | {key: file}))


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path) -> None:
    """OpenSSL would ask at the terminal, and a service would hang there: it is a mistake like the others."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make an encrypted key with")
    key = tmp_path / "key.pem"
    command = [openssl, "genrsa", "-aes128", "-passout", "pass:s3cr3t", "-out", str(key), "2048"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigError, match="its unencrypted key"):
        tls_context(settings(client_cert_file=TLS / "good.pem", client_key_file=key))
