# ruff: noqa: E501 - a sentence is compared whole, on its own line
from __future__ import annotations

from typing import Any

import pytest

from trio_bridge.config import rules
from trio_bridge.config.settings import GrafanaSettings, PostgresSettings, RouteSettings, ServiceSettings
from trio_bridge.secret import Secret

PLACES = {
    f"{section}.{key}": f"{section}.{key}"
    for section, kind in (("postgres", PostgresSettings), ("grafana", GrafanaSettings))
    for key in kind.__struct_fields__
}


def route(name="a", **said):
    return RouteSettings(**{"name": name, "table": name} | said)


def grafana(**said):
    settings = GrafanaSettings(**dict[str, Any](url="https://g", token=Secret("t")) | said)
    return list(rules.grafana_mistakes(settings, PLACES))


@pytest.mark.parametrize(
    "url",
    ["https://g", "https://g.example/grafana/", "http://[::1]:3000", "HTTPS://g:80", "https://10.0.0.1:1"],
)
def test_urls_that_can_be_grafana(url):
    """Host, port and sub-path are free."""
    assert grafana(url=url) == []


@pytest.mark.parametrize(
    "url",
    ["", "g:3000", "ftp://g", "ws://g", "http://", "http://:3000", "http://g:x", "http://g:99999", "http://g:0",
     "http://[::1", "http://g /", "http://gé", "http://g?a=b", "http://g#a", "http://admin:s3cr3t@g"],
)  # fmt: skip
def test_urls_that_cannot(url):
    """Another scheme, no host, no port, an address with credentials: one sentence, which does not repeat them."""
    (sentence,) = grafana(url=url)
    assert sentence.startswith("grafana.url: ")
    assert "s3cr3t" not in sentence


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_on_this_machine_nobody_listens_in(host):
    """http is all right where nothing leaves the machine."""
    assert grafana(url=f"http://{host}:3000") == []


@pytest.mark.parametrize("host", ["grafana", "localhost.example", "10.0.0.1", "[2001:db8::1]", "0.0.0.0"])
def test_credentials_are_not_sent_in_the_clear_unasked(host):
    """http to anywhere else has to be asked for."""
    (sentence,) = grafana(url=f"http://{host}:3000")
    assert sentence.startswith("grafana.url: http would carry the credentials readable over the network")
    assert grafana(url=f"http://{host}:3000", allow_plaintext=True) == []


def test_a_key_without_its_certificate(tmp_path):
    """Half of a client certificate is a mistake, not a connection without one."""
    said = grafana(client_key_file=tmp_path / "key.pem")
    assert said == ["grafana.client_key_file: a key goes with a certificate: give client_cert_file too"]


def test_credentials_of_grafana(tmp_path):
    """One kind of credentials, all of it, readable now."""
    good, empty, words = tmp_path / "good", tmp_path / "empty", tmp_path / "words"
    good.write_text("glsa_x\n")
    empty.write_text("\n")
    words.write_text("two words\n")
    basic = {"token": None, "username": "admin"}
    assert grafana(token=None, token_file=good) == []
    assert grafana(**basic, password_file=words) == []
    pair = ["grafana: username and password_file go together, and without a token"]
    assert grafana(username="admin") == pair
    assert grafana(token=None, password_file=good) == pair
    assert grafana(**basic)[0].startswith("grafana: no credentials")
    assert grafana(password_file=good) == ["grafana.token and grafana.password_file: give one of them"]
    assert grafana(token=Secret("two words")) == [
        "grafana.token: is not a token: a token is one word of visible ASCII characters"
    ]
    assert grafana(token=None, token_file=words) == [
        f"grafana.token_file: {words}: is not a token: a token is one word of visible ASCII characters"
    ]
    assert grafana(token=None, token_file=empty) == [
        f"grafana.token_file: {empty}: there is no secret in it, it is empty"
    ]
    assert grafana(**basic, password_file=tmp_path) == [
        f"grafana.password_file: {tmp_path}: the secret in it cannot be read: Is a directory"
    ]


def test_the_password_of_postgres(tmp_path):
    """One password, readable now."""
    missing = PostgresSettings(dsn="", password_file=tmp_path / "none")
    assert list(rules.postgres_mistakes(missing, PLACES)) == [
        f"postgres.password_file: {tmp_path / 'none'}: the secret in it cannot be read: No such file or directory"
    ]
    double = PostgresSettings(dsn="", password=Secret("p"), password_file=tmp_path)
    assert list(rules.postgres_mistakes(double, PLACES)) == [
        "postgres.password and postgres.password_file: give one of the two"
    ]


def test_waits_in_order():
    """The least wait is not longer than the longest."""
    assert list(rules.service_mistakes(ServiceSettings(restart_min_s=2, restart_max_s=1))) == [
        "service: restart_min_s is larger than restart_max_s"
    ]
    assert list(rules.service_mistakes(ServiceSettings())) == []


@pytest.mark.parametrize(
    ("routes", "sentence"),
    [
        ([route(table=None)], 'route "a": give a table or a channel, one of the two'),
        ([route(channel="x")], 'route "a": give a table or a channel, one of the two'),
        ([route(), route()], 'route "a" is there twice: give one of them another name = "…"'),
        ([route(), route("b", measurement="a")], 'routes "a" and "b" both feed stream/pg/a, and its panels would lose their history: give one of them another measurement'),
        ([route('x."a b"'), route("b", measurement="a_b")], 'routes "x."a b"" and "b" both feed stream/pg/a_b, and its panels would lose their history: give one of them another measurement'),
        ([route(series="s", tags=("t",))], 'route "a": series and tags do not go together, because series become fields and a panel keeps several fields only where there are no tags: give one of the two'),
        ([route(table=None, channel="ä" * 32)], 'route "a": Postgres takes no channel of more than 63 bytes'),
    ],
)  # fmt: skip
def test_routes_that_cannot_work(routes, sentence):
    """Each contradiction is one sentence that names the route."""
    assert list(rules.route_mistakes(routes)) == [sentence]


def test_routes_that_can():
    """The same table to another measurement, the same measurement of another stream, a table beside a channel."""
    routes = [
        route(),
        route("again", table="a", measurement="b"),
        route("b", table="a", stream="x"),
        route("c", table=None, channel="c"),
        route("d", series="s"),
        route("e", tags=("t",)),
    ]
    assert not list(rules.route_mistakes(routes))
