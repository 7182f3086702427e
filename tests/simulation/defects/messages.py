"""Defects in what becomes of a page on its way to Grafana, and in what counts as acknowledged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from trio_websocket import WebSocketConnection

import trio_bridge.postgres.delta
from tests.simulation.defects.planting import Around, Defect, Edit
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.grafana.push import PushConnection
from trio_bridge.records import Page
from trio_bridge.sender.inflight import InFlight
from trio_bridge.sender.keyframes import Keyframes
from trio_bridge.sender.pace import Outbox
from trio_bridge.sender.stage import _Sender


def _any_pong(_: Any) -> Any:
    async def handle(socket: WebSocketConnection, _event: Any) -> None:
        while socket._pings:
            _, answered = socket._pings.popitem()
            answered.set()

    return handle


def _without_the_last(encode: Any) -> Any:
    def encode_less(encoder: Encoder, page: Page, oldest_ns: int | None = None) -> Any:
        end = trio_bridge.postgres.delta.PAGE_ROWS - 1
        return encode(encoder, replace(page, rows=page.rows[:end], keys=page.keys[:end]), oldest_ns)

    return encode_less


DEFECTS: Final = (
    Defect(
        "acknowledged when sent",
        "A send that returned has delivered.",
        (
            Edit(
                _Sender,
                "_write",
                "self._feedback.sent(message.completed_mark)",
                "self._feedback.sent(message.completed_mark)\n"
                "self._feedback.acknowledged(message.completed_mark)",
            ),
        ),
    ),
    Defect(
        "counted when sent",
        "What is on the socket counts as acknowledged.",
        (
            Edit(
                _Sender,
                "_write",
                "self._ledger.sent(len(message.data))",
                "self._ledger.sent(len(message.data))\nself._ledger.acknowledged(message.rows)",
            ),
            Edit(_Sender, "_acknowledge", "if proven.rows:", "if False:"),
        ),
    ),
    Defect(
        "any pong answers every ping",
        "Who answers has read everything.",
        (Around(WebSocketConnection, "_handle_pong_event", _any_pong),),
    ),
    Defect(
        "a pong acknowledges what was written until it came",
        "Grafana has answered, so it has processed what we wrote.",
        (
            Edit(
                InFlight,
                "answered",
                "before, proven = self._acknowledged, ping.covers",
                "before, proven = self._acknowledged, self._written",
            ),
        ),
    ),
    Defect(
        "a mark leaves with the first of its lines",
        "A page is one message.",
        (
            Edit(
                Outbox,
                "take",
                "if stop < len(batch.lines):\n    break",
                "if stop < len(batch.lines):\n    mark = batch.mark\n    break",
            ),
        ),
    ),
    Defect(
        "a full message takes the rest of its batch with it",
        "When it is full it goes, and that was the batch.",
        (
            Edit(
                Outbox,
                "take",
                "if stop < len(batch.lines):\n    break",
                "if stop < len(batch.lines):\n"
                "    self.waiting_bytes -= ends[-1] - ends[stop]\n"
                "    self._waiting.popleft()\n"
                "    break",
            ),
        ),
    ),
    Defect(
        "the last row of a full page dropped",
        "A range ends before its end.",
        (Around(Encoder, "encode", _without_the_last),),
    ),
    Defect(
        "a keyframe before the rows that wait",
        "It carries them anyway.",
        (
            Edit(
                _Sender,
                "_write_next",
                "if due_at == math.inf and not self._ended else math.inf",
                "if not self._ended else math.inf",
            ),
            Edit(
                _Sender,
                "_write_next",
                "if due_at <= now or (",
                "if keyframe_at > now and due_at <= now or (",
            ),
        ),
    ),
    Defect(
        "messages without the keyframe's flag",
        "The flag is the keyframe's business.",
        (
            Edit(
                _Sender,
                "_write_next",
                "message = replace(message, data=self._keyframes.decorated(message.data))",
                "pass",
            ),
        ),
    ),
    Defect(
        "a socket used again after a send that was cut short",
        "The send timed out, so send again.",
        (
            Edit(PushConnection, "_errors", "self.abort()", "pass"),
            Edit(
                _Sender,
                "_write",
                "self._write_until = trio.current_time() + self._ack_timeout_s",
                "self._write_until = math.inf",
            ),
            Edit(
                _Sender,
                "_write",
                "await self._connection.send(message.data)",
                "with trio.move_on_after(self._ack_timeout_s) as sending:\n"
                "    await self._connection.send(message.data)\n"
                "if sending.cancelled_caught:\n"
                "    await self._connection.send(message.data)",
            ),
        ),
    ),
    Defect(
        "the window in the order of arrival",
        "Rows come in the order of their times.",
        (
            Edit(
                Keyframes,
                "add",
                "self._window.add(batch.lines, batch.keys)",
                "self._window.add(batch.lines[:1], batch.keys[:1])",
            ),
        ),
    ),
)
