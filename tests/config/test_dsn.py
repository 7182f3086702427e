from __future__ import annotations

import traceback

import pytest
from psycopg.conninfo import conninfo_to_dict

from trio_bridge.config.dsn import verified, with_password, without_password
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret


@pytest.mark.parametrize("dsn", ["", "host=db", "postgresql://u@one:1,two:2/db?sslmode=require", "service=x"])
def test_leaves_a_dsn_without_password_alone(dsn):
    """What the operator wrote is what the operator reads."""
    assert without_password(dsn, "dsn") == (dsn, None)


def test_takes_only_the_password():
    """Every other option, and every host, stays as it was."""
    dsn = "postgresql://u:p%20w@one:1,two:2/db?options=-c%20jit%3Doff"
    rest, password = without_password(dsn, "dsn")
    assert password == Secret("p w")
    assert conninfo_to_dict(rest) == {k: v for k, v in conninfo_to_dict(dsn).items() if k != "password"}


@pytest.mark.parametrize("dsn", ["postgresql://u:s3cr3t@[::1", "host=a s3cr3t", "s3cr3t=1", "passwrd=s3cr3t"])
def test_never_repeats_what_it_cannot_read(dsn):
    """libpq's own message would quote the text; ours and its traceback do not."""
    with pytest.raises(ConfigError, match=r"^dsn: is not a connection string") as caught:
        without_password(dsn, "dsn")
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_puts_the_password_back_for_libpq(tmp_path):
    """From the environment or, as it is now, from the file; without one the DSN stays as written."""
    file = tmp_path / "password"
    dsn = "host=db user=u"
    assert with_password(PostgresSettings(dsn=dsn)) == dsn
    assert (
        conninfo_to_dict(with_password(PostgresSettings(dsn=dsn, password=Secret("p 'w"))))["password"]
        == "p 'w"
    )
    for password in ("old", "new"):
        file.write_text(f"{password}\n")
        postgres = PostgresSettings(dsn=dsn, password_file=file)
        assert conninfo_to_dict(with_password(postgres))["password"] == password


@pytest.mark.parametrize(
    ("dsn", "environ"),
    [
        ("", {}),
        ("host=localhost", {}),
        ("host=/run/postgresql", {}),
        ("postgresql://u@127.0.0.1,[::1]/db", {}),
        ("host=db hostaddr=127.0.0.1", {}),
        ("host=db sslmode=disable", {}),
        ("host=db", {"PGSSLMODE": "require"}),
        ("service=metrics", {}),
    ],
)
def test_a_dsn_that_stays_here_or_speaks_for_itself_is_left_alone(dsn, environ):
    """On this machine nobody listens in, and what the operator says of TLS holds."""
    assert verified(dsn, environ) == dsn


@pytest.mark.parametrize(
    ("dsn", "environ"),
    [
        ("host=db", {}),
        ("postgresql://u@localhost,db/m", {}),
        ("dbname=m", {"PGHOST": "db"}),
        ("host=localhost hostaddr=10.0.0.1", {}),
    ],
)
def test_a_server_elsewhere_must_prove_itself(dsn, environ):
    """libpq alone would take any server and no encryption; one host elsewhere among several is enough."""
    options = conninfo_to_dict(verified(dsn, environ))
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "system")
    own = conninfo_to_dict(
        verified(f"{dsn}?sslrootcert=ca.pem" if "/" in dsn else f"{dsn} sslrootcert=ca.pem", environ)
    )
    assert (own["sslmode"], own["sslrootcert"]) == ("verify-full", "ca.pem")
