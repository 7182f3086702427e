"""The sink's side of WebSocket, against the library that the peers use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from benchmarks import wire


def _open_client() -> ClientProtocol:
    client = ClientProtocol(parse_uri("ws://127.0.0.1/api/live/push/pg"))
    client.send_request(client.connect())
    (request,) = client.data_to_send()
    client.receive_data(wire.handshake_answer(request.removesuffix(b"\r\n\r\n")))
    assert client.state is State.OPEN
    return client


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=5), st.integers(1, 5_000), st.booleans())
def test_messages_come_out_as_they_went_in(messages: list[bytes], piece: int, pings: bool) -> None:
    """Whatever the pieces in which the stream arrives, each message is there, whole, in order."""
    client = _open_client()
    for message in messages:
        client.send_binary(message)
        if pings:
            client.send_ping(b"?")
    stream = b"".join(client.data_to_send())
    reader = wire.FrameReader()
    frames = [f for at in range(0, len(stream), piece) for f in reader.feed(stream[at : at + piece])]
    assert [wire.unmasked(frame) for frame in frames if frame.opcode == wire.BINARY] == messages
    assert sum(frame.opcode == wire.PING for frame in frames) == pings * len(messages)


def test_a_pong_answers_the_ping() -> None:
    """The client takes the server's frame for the answer to its ping."""
    client = _open_client()
    client.receive_data(wire.server_frame(wire.PONG, b"nonce"))
    (event,) = client.events_received()[1:]
    assert isinstance(event, Frame)
    assert (event.opcode, event.data) == (Opcode.PONG, b"nonce")


@pytest.mark.parametrize("stream", [b"\x01\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x81\x00\0\0\0\0"])
def test_what_is_not_measured_is_refused(stream: bytes) -> None:
    """The begin and the rest of a fragmented message, and a frame without a mask, end the measurement."""
    with pytest.raises(wire.WireError):
        list(wire.FrameReader().feed(stream))


def test_what_is_no_handshake_is_refused() -> None:
    """A plain request is not taken for a sender."""
    with pytest.raises(wire.WireError, match="handshake"):
        wire.handshake_answer(b"GET / HTTP/1.1\r\nHost: x")
