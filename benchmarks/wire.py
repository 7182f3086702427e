"""The least of WebSocket that a server needs that only listens: handshake, frame borders, pings.

Bytes in, frames out; no socket, no clock. A frame's payload stays masked until somebody asks: the sink stamps and
stores, and unmasks when nobody waits. Refuses what no system under test sends (fragments, unmasked frames) instead of
measuring it wrongly. Source of the format: RFC 6455.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WireError(Exception):
    """The peer sent what this sink does not measure."""


class Frame(NamedTuple):
    """One frame of a client, still masked."""

    opcode: int
    mask: bytes
    payload: bytes


def handshake_answer(request: bytes) -> bytes:
    """The 101 for the upgrade `request` (its whole head).

    Raises:
        WireError: it is not an upgrade.
    """
    for line in request.split(b"\r\n")[1:]:
        name, _, text = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            digest = hashlib.sha1(text.strip() + _MAGIC, usedforsecurity=False).digest()
            return (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
            )
    raise WireError(f"not a WebSocket handshake: {request[:200]!r}")


def unmasked(frame: Frame) -> bytes:
    """The payload as its sender wrote it."""
    size = len(frame.payload)
    key = int.from_bytes((frame.mask * (size // 4 + 1))[:size])
    return (int.from_bytes(frame.payload) ^ key).to_bytes(size)


def server_frame(opcode: int, payload: bytes) -> bytes:
    """A frame of the server's: a control frame, so never longer than 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


class FrameReader:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes; must be exhausted before the next call.

        Raises:
            WireError: a fragment, or a frame without a mask.
        """
        pending = self._pending
        pending += data
        start = 0
        while (frame_end := _frame(pending, start)) is not None:
            frame, start = frame_end
            yield frame
        del pending[:start]


def _frame(data: bytearray, start: int) -> tuple[Frame, int] | None:
    """The frame at `start` and where the next begins; None if it is not whole."""
    if len(data) < start + 6:
        return None
    first, second = data[start], data[start + 1]
    if not second & 0x80:
        raise WireError("a client's frame must be masked")
    if not first & 0x80 or first & 0x0F == CONTINUATION:
        raise WireError("a message in fragments is not measured")
    size, head = second & 0x7F, start + 2
    if size == 126:
        size, head = int.from_bytes(data[start + 2 : start + 4]), start + 4
    elif size == 127:
        if len(data) < start + 10:
            return None
        size, head = int.from_bytes(data[start + 2 : start + 10]), start + 10
    body = head + 4
    end = body + size
    if len(data) < end:
        return None
    return Frame(first & 0x0F, bytes(data[head:body]), bytes(data[body:end])), end
