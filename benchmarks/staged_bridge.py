"""``python -m benchmarks.staged_bridge``: the bridge, which tells where the time of each page went.

It takes the command line of ``trio_bridge``. The product has no stamps of this kind: functions at the borders of its
stages are wrapped here, each by one that notes the clock under the page's mark. When the bridge has ended, the pages
that a bell announced and that went in one message are told as JSON in the file that the variable `FILE` names: for each
of `LEGS` the time that each of them took, in seconds. The wrapping costs some µs a page, spread over its legs.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final
from unittest import mock

from trio_bridge.cli import main
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.feedback import Feedback
from trio_bridge.grafana.push import PushConnection
from trio_bridge.handover import Outlet
from trio_bridge.postgres.delta import DeltaReader
from trio_bridge.records import Batch, Page
from trio_bridge.sender.pace import Message, Outbox

FILE: Final = "BENCHMARK_STAGES"

LEGS: Final = (
    "bell_to_delta",
    "delta",
    "hop",
    "to_decoder",
    "encode",
    "to_sender",
    "to_message",
    "write",
    "pong",
)
"""Until the thread asks for a delta; until its answer is read; until Trio has the page; until the decoder begins; until
it has encoded; until the sender has the batch; until the message is made; until it is written; until the pong."""


class _Clock:
    """The stamps of each page, by its mark."""

    def __init__(self) -> None:
        self.stamps: dict[int, list[float]] = {}
        self._asked_at = 0.0
        self._mark: int | None = None

    def asked(self) -> None:
        self._asked_at = time.monotonic()

    def put(self, page: Page) -> None:
        if page.rung_at is not None:
            self.stamps[page.mark] = [page.rung_at, self._asked_at, time.monotonic()]

    def note(self, mark: int | None, place: int) -> None:
        """The page `mark` is at `place`, once the places before have been noted."""
        stamps = self.stamps.get(mark or 0, [])
        if len(stamps) == place:
            stamps.append(time.monotonic())

    def made(self, message: Message) -> None:
        self._mark = message.completed_mark
        self.note(self._mark, 7)

    def written(self) -> None:
        self.note(self._mark, 8)
        self._mark = None


def _watched(clock: _Clock) -> dict[tuple[type, str], Any]:
    """What stands in for each function."""
    params, put, wait_get, encode = DeltaReader.params, Outlet.put, Outlet.wait_get, Encoder.encode
    add, take, send, acknowledged = Outbox.add, Outbox.take, PushConnection.send, Feedback.acknowledged

    def params_and_ask(self: DeltaReader, *args: Any) -> Any:
        clock.asked()
        return params(self, *args)

    def note_and_put(self: Outlet[Any], item: Any) -> None:
        if isinstance(item, Page):
            clock.put(item)
        put(self, item)

    async def get_and_note(self: Outlet[Any]) -> Any:
        item = await wait_get(self)
        if isinstance(item, Page):
            clock.note(item.mark, 3)
        return item

    def note_and_encode(self: Encoder, page: Page, *args: Any) -> Batch:
        clock.note(page.mark, 4)
        batch = encode(self, page, *args)
        clock.note(page.mark, 5)
        return batch

    def note_and_add(self: Outbox, batch: Batch) -> None:
        clock.note(batch.mark, 6)
        add(self, batch)

    def take_and_note(self: Outbox, *args: Any) -> Message:
        message = take(self, *args)
        clock.made(message)
        return message

    async def send_and_note(self: PushConnection, data: bytes) -> None:
        await send(self, data)
        clock.written()

    def note_acknowledged(self: Feedback, mark: int) -> None:
        clock.note(mark, 9)
        acknowledged(self, mark)

    return {
        (DeltaReader, "params"): params_and_ask,
        (Outlet, "put"): note_and_put,
        (Outlet, "wait_get"): get_and_note,
        (Encoder, "encode"): note_and_encode,
        (Outbox, "add"): note_and_add,
        (Outbox, "take"): take_and_note,
        (PushConnection, "send"): send_and_note,
        (Feedback, "acknowledged"): note_acknowledged,
    }


def run() -> None:
    """Run the bridge, then tell."""
    clock = _Clock()
    for (owner, name), function in _watched(clock).items():
        mock.patch.object(owner, name, function).start()
    try:
        main()
    finally:
        told: dict[str, list[float]] = {leg: [] for leg in LEGS}
        for stamps in clock.stamps.values():
            for leg, earlier, later in zip(LEGS, stamps, stamps[1:], strict=False):
                told[leg].append(later - earlier)
        Path(os.environ[FILE]).write_text(json.dumps(told))


if __name__ == "__main__":
    run()
