"""A virtual Grafana, as far as the push side of Grafana Live goes, on Trio's clock and without a socket.

    LiveModel(nursery, rng, *, key="id", buffer_bytes=262_144, latency_s=0.0002, service_s=0.0005, window_rows=5_000,
              ping_interval_s=25.0, cut_after_s=27.78)
        await .dial(owner="") -> End                the client's end of a TCP connection (a trio stream; it is cut by
                                                    `.close_now(reset=True)`), or ConnectionRefusedError; `owner`
                                                    (bridge, route, ...) is noted
        .processed: list[Delivery]                  every message, in order; .unparsable: those that vanished
        .observers: list[Observer]                  connected, processed, ponged: told at that very moment
        .panel(measurement) -> Panel                a viewer who is there from the first message on; .shown: its rows
        .open_panel(measurement) -> Panel           a viewer who comes now: begins with the cached last message
        .connections: int                           push sockets opened so far; .open: how many are now
      conditions, each for `for_s` virtual seconds from now on
        .slow(bytes_per_s, for_s)                   reads no faster
        .mute(for_s)                                reads nothing
        .silence_pongs(for_s)                       processes, never answers a ping
        .drop_pongs(one_in, for_s)                  each pong is lost with probability 1/one_in
        .delay_pongs(delay_s, for_s)                what it says comes so much later
        .refuse_dials(for_s)                        TCP refused
        .refuse_upgrades(status, for_s, retry_after_s=None)   HTTP answers instead of 101
        .restart(down_s)                            all sockets end, TCP refused meanwhile, the cache is lost
        .calm()                                     ends all of these
      acts, on every open socket
        .cut(reset=False)                           FIN, or RST
        .close(code)                                a close frame, then FIN
        .stray_pong()                               of an old, an answered or an unknown ping, or empty
        .flood_pings(count)
        .say(text)                                  a message that nobody expects

`records` has Row, Delivery and Observer, `conditions` what lasts for a while, `wire` the connection, `lines` the
parser, `panel` the browser's buffer, `peer` one socket. None of it shares code with the product or its own Live
stand-in.
"""

from tests.simulation.live.model import LiveModel
from tests.simulation.live.panel import Panel
from tests.simulation.live.records import Delivery, Observer, Row
from tests.simulation.live.wire import End

__all__ = ["Delivery", "End", "LiveModel", "Observer", "Panel", "Row"]
