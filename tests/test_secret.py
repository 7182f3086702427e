"""A secret is handed out by `reveal` and by nothing else."""

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from dataclasses import dataclass

import msgspec
import pytest
import structlog
from rich.pretty import pretty_repr

from trio_bridge.secret import Secret

TEXT = "glsa_hunter2"
MASK = "********"


@pytest.fixture
def secret():
    return Secret(TEXT)


@dataclass
class Holder:
    token: Secret


def test_reveal_hands_it_out(secret):
    """The one way in which it can be had."""
    assert secret.reveal() == TEXT


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        format,
        pprint.pformat,
        pretty_repr,
        lambda s: f"{s}",
        lambda s: f"{s!s} {s!r} {s!a} {s:>20} {s:.3}",
        lambda s: f"{s}".encode(),
        lambda s: "%s %r" % (s, s),  # noqa: UP031
        "{0} {0!r}".format,
        lambda s: str([s]) + str({"a": s}) + str({s}) + str((s,)),
        lambda s: str(Holder(s)),
        lambda s: str(ValueError(s)) + repr(ValueError(s)),
        lambda s: str(vars(Holder(s))),
        lambda s: json.dumps({"a": s}, default=str),
        lambda s: msgspec.json.encode({"a": s}, enc_hook=str),
    ],
    ids=lambda _: "",
)
def test_showing_it_shows_the_mask(secret, show):
    """In whatever way text is made of it, or of what holds it."""
    shown = str(show(secret))
    assert "***" in shown
    assert "hunter" not in shown
    assert "glsa" not in shown


def test_the_mask_tells_nothing_of_the_secret():
    """Not even its length, nor that there is none."""
    assert {str(Secret(text)) for text in ("", "a", "a" * 1_000)} == {MASK}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(secret, protocol):
    """A pickle would carry it away: refused, alone and inside of what holds it."""
    for whole in (secret, [secret], Holder(secret)):
        with pytest.raises(TypeError, match="not pickled") as refused:
            pickle.dumps(whole, protocol)
        assert TEXT not in str(refused.value)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_it_is_not_copied(secret, make):
    """Copies go the way of the pickle."""
    with pytest.raises(TypeError, match="not pickled"):
        make(secret)


@pytest.mark.parametrize(
    "encode", [msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, json.dumps]
)
def test_no_encoder_takes_it(secret, encode):
    """Alone and inside of what holds it: an error, and not with the secret in it."""
    for whole in (secret, [secret], {"a": secret}):
        with pytest.raises(TypeError) as refused:
            encode(whole)
        assert TEXT not in str(refused.value)
    if encode is not json.dumps:
        with pytest.raises(TypeError):
            encode(Holder(secret))


def test_it_has_no_attributes_to_list(secret):
    """Tools that print what an object holds find nothing to print."""
    with pytest.raises(TypeError):
        vars(secret)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(AttributeError):
        secret.other = 1


def test_a_traceback_with_variables_shows_the_mask(secret):
    """Though its frames hold it under two names."""

    def fail(token):
        holder = Holder(token)
        raise ValueError(f"cannot log in with {token}: {holder}")

    with pytest.raises(ValueError, match="cannot log in") as failure:
        fail(secret)
    shown = "".join(traceback.TracebackException.from_exception(failure.value, capture_locals=True).format())
    assert "token = ********" in shown
    assert TEXT not in shown


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.JSONRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ],
    ids=lambda renderer: type(renderer).__name__,
)
def test_a_log_line_shows_the_mask(secret, renderer):
    """In every form that structlog writes, also inside of what holds it."""
    out = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(out), processors=[renderer])
    log.info("connecting", token=secret, all=[secret], holder=Holder(secret))
    assert MASK in out.getvalue()
    assert TEXT not in out.getvalue()


@pytest.mark.parametrize(
    "tracebacks",
    [
        structlog.processors.dict_tracebacks,
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
        ),
    ],
    ids=["plain", "with locals"],
)
def test_a_logged_traceback_shows_the_mask(secret, tracebacks):
    """Even where structlog is told to write the variables of each frame."""
    out = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[tracebacks, structlog.processors.JSONRenderer()]
    )

    def fail(token):
        raise ValueError(token)

    try:
        fail(secret)
    except ValueError:
        log.exception("failed")
    assert MASK in out.getvalue()
    assert TEXT not in out.getvalue()


def test_the_standard_logger_shows_the_mask(secret, caplog):
    """As an argument and inside of the message."""
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", secret, {"token": secret})
    assert MASK in caplog.text
    assert TEXT not in caplog.text


def test_two_of_the_same_are_equal(secret):
    """By what they hold; the text itself, or the mask, is not equal to it."""
    assert secret == Secret(TEXT)
    assert hash(secret) == hash(Secret(TEXT))
    assert secret != Secret("other")
    assert secret != TEXT
    assert secret != MASK
