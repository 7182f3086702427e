"""Settings to one header, without showing what is in it."""

import traceback

import pytest

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError
from trio_bridge.grafana.credentials import authorization, secret_parts
from trio_bridge.secret import Secret


def settings(**given):
    return GrafanaSettings(url="http://g", **given)


async def test_a_token_becomes_bearer():
    """White space around a token does not reach the header."""
    assert (await authorization(settings(token=Secret(" glsa_x\n")))).reveal() == "Bearer glsa_x"


async def test_a_token_file_is_read_each_time(tmp_path):
    """A token that is replaced in its file counts at the next connection."""
    file = tmp_path / "token"
    file.write_text("glsa_one\n")
    given = settings(token_file=file)
    assert (await authorization(given)).reveal() == "Bearer glsa_one"
    file.write_text("glsa_two")
    assert (await authorization(given)).reveal() == "Bearer glsa_two"


async def test_a_password_becomes_basic(tmp_path):
    """Only the line end of the password file is dropped."""
    file = tmp_path / "password"
    file.write_text(" pä:ss \n")
    header = await authorization(settings(username="admin", password_file=file))
    assert header.reveal() == "Basic YWRtaW46IHDDpDpzcyA="
    assert secret_parts(header) == ("YWRtaW46IHDDpDpzcyA=", " pä:ss ")


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"glsa_secret\nsecond", b"glsa_secret x", b"glsa_secret\xff", b"gl\x00sa"]
)
async def test_a_malformed_token_is_not_shown(tmp_path, content):
    """The message names the file, and neither it nor anything that hangs on it holds a piece of the content."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=str(file)) as caught:
        await authorization(settings(token_file=file))
    assert "glsa_secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


async def test_a_malformed_token_from_the_environment_is_not_shown():
    """The same for a token that is given directly."""
    given = settings(token=Secret("glsa_" + "secret with a space"))
    with pytest.raises(ConfigError, match=r"grafana\.token is empty or holds") as caught:
        await authorization(given)
    assert "glsa_secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_missing_file_is_named(tmp_path):
    """A file that cannot be read is the operator's mistake, with the system's reason."""
    with pytest.raises(ConfigError, match=r"token_file .*absent cannot be read: No such file"):
        await authorization(settings(token_file=tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"password_file .*absent cannot be read: No such file"):
        await authorization(settings(username="admin", password_file=tmp_path / "absent"))


async def test_an_empty_password_is_refused(tmp_path):
    """An empty file is a mistake, not a password."""
    file = tmp_path / "password"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        await authorization(settings(username="admin", password_file=file))


async def test_a_colon_in_the_name_is_refused(tmp_path):
    """Basic authentication would cut the name there and send the rest as password."""
    with pytest.raises(ConfigError, match="colon"):
        await authorization(settings(username="ad:min", password_file=tmp_path / "password"))


async def test_no_credentials_at_all_are_the_operators_mistake():
    """Nothing is tried without credentials: push never works anonymously."""
    with pytest.raises(ConfigError, match="no credentials"):
        await authorization(settings(username="admin"))
