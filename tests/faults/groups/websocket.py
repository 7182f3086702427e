"""Faults of the way to Grafana: TCP, TLS, the upgrade, the open socket."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "The push socket",
    {
        48: Fault("TCP refused, or taken without a word"),
        49: Fault("401, or 500 for a token that was deleted"),
        50: Fault("403: a role below Admin, or a foreign Origin"),
        51: Fault("404: a wrong sub-path, or a proxy whose Grafana restarts"),
        52: Fault("429 with Retry-After, in seconds or as a date"),
        53: Fault("500, 502, 503, 504"),
        54: Fault("a redirect to another host"),
        55: Fault("a login page, junk, half an answer, then silence"),
        56: Fault("101 with a wrong key, extension or subprotocol"),
        57: Fault("bad certificates, old TLS, an end in the handshake"),
        58: Fault("closed with 1000 or 1001"),
        59: Fault("closed with 1008, 1009, 1011, 1012, 1013, 4xxx"),
        60: Fault("FIN without a close frame, RST"),
        61: Fault("no pong ever, the connection stays open"),
        62: Fault("one pong is lost"),
        63: Fault("pongs that are old, unknown, twice, or that nobody asked for"),
        64: Fault("the server never pings"),
        65: Fault("the server pings every millisecond"),
        66: Fault("pongs wait behind data on a line of 1 kB/s"),
        67: Fault("1 kB/s for ten minutes, then fast"),
        68: Fault("a send blocks and is given up in the middle of a frame"),
        69: Fault("messages from the server that nobody expects"),
        70: Fault("the server breaks the WebSocket protocol"),
        71: Fault("a ping crosses our close frame"),
        72: Fault("our close frame is never answered"),
        73: Fault("a proxy cuts what is idle for 60 s"),
        74: Fault(
            "something in between answers pings itself and drops the data",
            untested="to us it is a Grafana that answers and publishes nothing (78); no acknowledgement can tell, "
            "only reading back what was pushed, which `trio-bridge doctor` does",
        ),
        75: Fault("the wall clock jumps an hour"),
    },
)
