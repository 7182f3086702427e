"""A stand-in for Grafana Live's push side, for tests and the demo; shares no code with the bridge.

`LiveServer` is the server, `Delivery` and `Point` what it hands to an observer, `Faults` its switches.
"""

from trio_bridge.live.faults import Faults, Refusal, answer
from trio_bridge.live.intake import Counters, Delivery
from trio_bridge.live.lines import Point, Unsigned
from trio_bridge.live.server import LiveServer

__all__ = ["Counters", "Delivery", "Faults", "LiveServer", "Point", "Refusal", "Unsigned", "answer"]
