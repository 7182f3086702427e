"""What may be wrong with a Grafana for a while: conditions with an end, and what each means to whoever asks.

Each begins with a call and ends by itself, or with `calm`. Time is Trio's, chance the generator's. No task is needed:
nothing happens at an end, it is only asked whether it is over.
"""

from __future__ import annotations

import math
import random
from http import HTTPStatus
from typing import Final

import trio

READ_BYTES: Final = 65_536
"""What is read at once by who is not slow."""

SLOW_READS_PER_S: Final = 20
"""Reads of who is slow."""


class Conditions:
    """See the module; `LiveModel` has them.

    Args:
        rng: decides which pongs are lost.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._calmed = trio.lowlevel.ParkingLot()
        self._rate = math.inf
        self._pong_loss = 0
        self._pong_delay_s = 0.0
        self._refusal = b""
        self._end_all()

    # What begins them.

    def slow(self, bytes_per_s: float, for_s: float) -> None:
        """Read no faster."""
        self._rate, self._slow_until = bytes_per_s, trio.current_time() + for_s

    def mute(self, for_s: float) -> None:
        """Read nothing."""
        self._mute_until = trio.current_time() + for_s

    def silence_pongs(self, for_s: float) -> None:
        """Process everything, answer no ping."""
        self._silent_until = trio.current_time() + for_s

    def drop_pongs(self, one_in: int, for_s: float) -> None:
        """Lose some pongs."""
        self._pong_loss, self._lossy_until = one_in, trio.current_time() + for_s

    def delay_pongs(self, delay_s: float, for_s: float) -> None:
        """Let everything that Grafana says be late."""
        self._pong_delay_s, self._delayed_until = delay_s, trio.current_time() + for_s

    def refuse_dials(self, for_s: float) -> None:
        """Nobody listens."""
        self._no_dial_until = trio.current_time() + for_s

    def refuse_upgrades(self, status: int, for_s: float, retry_after_s: float | None = None) -> None:
        """Answer `status` instead of 101."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Length: 0", "Connection: close"]
        if retry_after_s is not None:
            lines.append(f"Retry-After: {retry_after_s:g}")
        self._refusal = "\r\n".join([*lines, "", ""]).encode()
        self._no_upgrade_until = trio.current_time() + for_s

    def calm(self) -> None:
        """End them all."""
        self._end_all()
        self._calmed.unpark_all()

    # What they mean.

    @property
    def refuses_dials(self) -> bool:
        """Whether nobody listens."""
        return trio.current_time() < self._no_dial_until

    @property
    def refusal(self) -> bytes:
        """The answer instead of an upgrade; empty: none."""
        return self._refusal if trio.current_time() < self._no_upgrade_until else b""

    def most_at_once(self) -> int:
        """Bytes that the next read may take."""
        if trio.current_time() >= self._slow_until:
            return READ_BYTES
        return max(1, int(self._rate / SLOW_READS_PER_S))

    async def wait_read_again(self) -> None:
        """Until who is slow reads again."""
        if trio.current_time() < self._slow_until:
            with trio.move_on_after(1.0 / SLOW_READS_PER_S):
                await self._calmed.park()

    async def wait_not_mute(self) -> None:
        """Until it reads at all."""
        while trio.current_time() < self._mute_until:
            with trio.move_on_at(self._mute_until):
                await self._calmed.park()

    def passes_over_ping(self) -> bool:
        """Whether the ping that is next gets no answer."""
        now = trio.current_time()
        return now < self._silent_until or (
            now < self._lossy_until and self._rng.randrange(self._pong_loss) == 0
        )

    @property
    def pong_delay_s(self) -> float:
        """How late a pong is, seconds."""
        return self._pong_delay_s if trio.current_time() < self._delayed_until else 0.0

    def _end_all(self) -> None:
        self._slow_until = self._mute_until = self._silent_until = self._lossy_until = -math.inf
        self._delayed_until = self._no_dial_until = self._no_upgrade_until = -math.inf
