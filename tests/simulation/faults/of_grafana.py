"""What may befall Grafana and the way to it; each method is one fault, over when it returns or when Grafana calms."""

from __future__ import annotations

from tests.simulation.faults.making import Making
from tests.simulation.live import LiveModel


class GrafanaFaults:
    """See the module.

    Args:
        making: what all faults share.
        live: Grafana.
    """

    def __init__(self, making: Making, live: LiveModel) -> None:
        self._making = making
        self._live = live

    async def cut_push(self) -> None:
        """FIN or RST."""
        reset = self._making.random.random() < 0.5
        self._making.note("cut_push", reset=reset)
        self._live.cut(reset=reset)

    async def close_push(self) -> None:
        """A close frame."""
        code = self._making.random.choice((1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000))
        self._making.note("close_push", code=code)
        self._live.close(code)

    async def mute(self) -> None:
        """It reads nothing."""
        self._making.note("mute")
        self._live.mute(self._making.random.uniform(0.2, 12.0))

    async def slow_reader(self) -> None:
        """It reads slowly."""
        self._making.note("slow_reader")
        self._live.slow(
            self._making.random.choice((2_000, 10_000, 50_000)), self._making.random.uniform(0.5, 8.0)
        )

    async def silence_pongs(self) -> None:
        """It processes everything and answers nothing."""
        self._making.note("silence_pongs")
        self._live.silence_pongs(self._making.random.uniform(0.2, 12.0))

    async def drop_pongs(self) -> None:
        """Some pongs are lost."""
        self._making.note("drop_pongs")
        self._live.drop_pongs(self._making.random.randint(1, 4), self._making.random.uniform(0.2, 6.0))

    async def delay_pongs(self) -> None:
        """Its answers are late."""
        self._making.note("delay_pongs")
        self._live.delay_pongs(
            self._making.random.choice((0.05, 0.5, 2.0)), self._making.random.uniform(0.2, 6.0)
        )

    async def refuse_dials(self) -> None:
        """Nobody listens."""
        self._making.note("refuse_dials")
        self._live.refuse_dials(self._making.random.uniform(0.1, 3.0))

    async def refuse_upgrades(self) -> None:
        """It answers, but not with 101."""
        status = self._making.random.choice((401, 403, 404, 429, 500, 502, 503))
        retry_after_s = self._making.random.choice((None, 1.0, 5.0)) if status in (429, 503) else None
        self._making.note("refuse_upgrades", status=status)
        self._live.refuse_upgrades(status, self._making.random.uniform(0.1, 4.0), retry_after_s)

    async def restart_grafana(self) -> None:
        """All sockets end, its cache is lost."""
        self._making.note("restart_grafana")
        self._live.restart(self._making.random.uniform(0.1, 2.0))

    async def stray_pong(self) -> None:
        """A pong that answers nothing."""
        self._making.note("stray_pong")
        self._live.stray_pong()

    async def flood_pings(self) -> None:
        """Many pings at once."""
        self._making.note("flood_pings")
        self._live.flood_pings(self._making.random.randint(1, 50))

    async def say(self) -> None:
        """A message that nobody expects."""
        self._making.note("say")
        self._live.say("hello")
