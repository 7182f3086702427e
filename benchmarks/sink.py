"""The sink: a process that stands where Grafana would and stamps what arrives; ``python -m benchmarks.sink``.

One thread, one selector. A stamp (`time.monotonic`, the clock of all processes) is taken as soon as the selector tells
of data, before it is read; frames are cut and stored masked, a ping is answered once all before it has been stored.
Rows are looked for only when asked, and then one frame at a time while nothing comes, so reading costs microseconds a
message, however many rows it has.

Commands come as lines on stdin, answers go as JSON lines to stdout; the first line out is the port. Ends with stdin.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks import wire
from benchmarks.arrivals import Arrivals
from benchmarks.wire import Frame, FrameReader

_READ_BYTES = 1024 * 1024
_HEAD_LIMIT_BYTES = 16 * 1024


class _Connection:
    """One client: its handshake, then its frames."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.reader = FrameReader()
        self.head: bytearray | None = bytearray()


class Sink:
    """Listens on the loopback, stores stamped frames, counts."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._frames: deque[tuple[float, Frame]] = deque()
        self._asked: list[str] | None = None
        self._arrivals = Arrivals()
        self._counters = {"connections": 0, "messages": 0, "bytes": 0, "pings": 0}
        self._last = 0.0

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def run(self, commands: int) -> None:
        """Serve until the descriptor `commands` ends."""
        self._selector.register(commands, selectors.EVENT_READ, "commands")
        pending = b""
        while True:
            ready = self._selector.select(None if self._asked is None else 0)
            stamp = time.monotonic()
            if not ready:
                self._look()
            for key, _ in ready:
                if isinstance(key.data, _Connection):
                    self._read(key.data, stamp)
                elif key.data is None:
                    self._accept()
                else:
                    data = os.read(commands, 4096)
                    if not data:
                        return
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        self._command(line.decode().split())

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._counters["connections"] += 1
        self._selector.register(peer, selectors.EVENT_READ, _Connection(peer))

    def _read(self, connection: _Connection, stamp: float) -> None:
        try:
            data = connection.peer.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError
            if connection.head is not None:
                data = self._handshake(connection, connection.head, data)
            self._counters["bytes"] += len(data)
            for frame in connection.reader.feed(data):
                self._frame(connection, frame, stamp)
        except ConnectionError:
            self._selector.unregister(connection.peer)
            connection.peer.close()

    def _handshake(self, connection: _Connection, head: bytearray, data: bytes) -> bytes:
        """Returns what came behind the handshake."""
        head += data
        request, end, behind = bytes(head).partition(b"\r\n\r\n")
        if not end:
            if len(head) > _HEAD_LIMIT_BYTES:
                raise wire.WireError("a handshake without an end")
            return b""
        connection.peer.sendall(wire.handshake_answer(request))
        connection.head = None
        return behind

    def _frame(self, connection: _Connection, frame: Frame, stamp: float) -> None:
        if frame.opcode in (wire.TEXT, wire.BINARY):
            self._frames.append((stamp, frame))
            self._counters["messages"] += 1
            self._last = stamp
        elif frame.opcode == wire.PING:
            self._counters["pings"] += 1
            connection.peer.sendall(wire.server_frame(wire.PONG, wire.unmasked(frame)))
        elif frame.opcode == wire.CLOSE:
            connection.peer.sendall(wire.server_frame(wire.CLOSE, wire.unmasked(frame)[:2]))
            raise ConnectionResetError

    def _command(self, words: list[str]) -> None:
        if words == ["counters"]:
            _answer({**self._counters, "last_s": self._last})
        else:
            self._asked = words

    def _look(self) -> None:
        """Look into the next frame, or answer what was asked if there is none."""
        assert self._asked is not None
        if self._frames:
            self._arrivals.take(*self._frames.popleft())
            return
        if self._asked[0] == "write":
            Path(self._asked[1]).write_bytes(self._arrivals.times.tobytes())
        self._asked = None
        _answer({"rows": self._arrivals.count, "first_probe_s": self._arrivals.first_probe})


def _answer(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve the process that started this one."""
    sink = Sink()
    print(sink.port, flush=True)
    sink.run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
