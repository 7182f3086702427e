"""No peer but a floor: the leanest loop that Python has between libpq and a socket. Nobody should run this.

psycopg's thin layer over libpq, no event loop, the payload cut by position, a WebSocket frame with a mask of zeros in
one write, nothing read, so that pings stay unanswered and an error ends it without a word.
"""

import os
import select
import socket
from datetime import datetime
from urllib.parse import urlsplit

import psycopg


def main() -> None:
    """Runs until killed."""
    url = urlsplit(os.environ["PUSH_URL"])
    push = socket.create_connection((url.hostname or "", url.port or 80))
    push.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    push.sendall(
        f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Authorization: Bearer {os.environ['TOKEN']}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    push.recv(4096)
    connection = psycopg.connect(os.environ["DSN"], autocommit=True)
    connection.execute("LISTEN influx_feed")
    postgres = connection.pgconn
    poll = select.poll()
    poll.register(postgres.socket, select.POLLIN)
    while True:
        poll.poll()
        postgres.consume_input()
        while (notification := postgres.notifies()) is not None:
            # {"timestamp" : "2026-01-01T00:00:00+00:00", "value" : 1}
            _, _, _, timestamp, rest = notification.extra.split(b'"', 4)
            time_ns = int(datetime.fromisoformat(timestamp.decode()).timestamp() * 1_000_000_000)
            line = b"live_metrics value=%s %d" % (rest[rest.rindex(b" ") + 1 : -1], time_ns)
            push.sendall(bytes((0x81, 0x80 | len(line), 0, 0, 0, 0)) + line)


main()
