"""What a route meets outside of this program: Postgres, a thread of its own, Grafana's port.

The composition root hands these three to the stages; each is the real thing unless somebody says otherwise. Names are
resolved by Trio, which has a seam of its own for that (`trio.socket.set_custom_hostname_resolver`). Owns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trio_bridge.grafana.stream import Dial, dial_tcp
from trio_bridge.listener.own_thread import in_a_thread
from trio_bridge.listener.source import OpenSession
from trio_bridge.listener.stage import RunSource
from trio_bridge.postgres.direct import open_direct


@dataclass(frozen=True, slots=True)
class Outside:
    """See the module.

    Attributes:
        open_session: a connection to Postgres; called where `run_source` runs the source.
        run_source: what runs the source, which blocks.
        dial: a connection to Grafana.
    """

    open_session: OpenSession = open_direct
    run_source: RunSource = in_a_thread
    dial: Dial = dial_tcp


OUTSIDE: Final = Outside()
"""The real one."""
