"""What the sink itself can take: ``python -m benchmarks.flood PORT MESSAGES LINES RATE FILE``, a sender with no system.

Sends numbered rows in messages of LINES, RATE messages a second (0: as fast as the sink reads), made and masked
beforehand, and writes when it sent each into FILE (doubles, monotonic seconds). It waits for the time of the next
message by spinning, so that its own waking up is not in the figure.
"""

from __future__ import annotations

import secrets
import socket
import sys
import time
from array import array
from pathlib import Path

from benchmarks.wire import BINARY, Frame, unmasked

_HANDSHAKE = (
    b"GET /api/live/push/pg HTTP/1.1\r\nHost: sink\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def client_frame(payload: bytes) -> bytes:
    """A binary message as a client sends it."""
    mask = secrets.token_bytes(4)
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | BINARY, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | BINARY, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | BINARY, 0x80 | 127)) + size.to_bytes(8)
    return head + mask + unmasked(Frame(BINARY, mask, payload))


def main() -> None:
    """Send, then write FILE."""
    port, messages, lines = (int(word) for word in sys.argv[1:4])
    gap_s = 1 / float(sys.argv[4]) if float(sys.argv[4]) else 0.0
    frames = [
        client_frame(
            b"\n".join(
                b"live_metrics value=%d 1700000000000000000" % number
                for number in range(message * lines, (message + 1) * lines)
            )
        )
        for message in range(messages)
    ]
    sent = array("d")
    with socket.create_connection(("127.0.0.1", port)) as sink:
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sink.sendall(_HANDSHAKE)
        sink.recv(4096)
        due = time.monotonic()
        for frame in frames:
            due += gap_s
            while time.monotonic() < due:
                pass
            sent.append(time.monotonic())
            sink.sendall(frame)
    Path(sys.argv[5]).write_bytes(sent.tobytes())


if __name__ == "__main__":
    main()
