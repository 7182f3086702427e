"""One random history of a route, a Grafana and browsers.

What happens: batches (in order, late, shuffled, rows again, larger than the window), new series, time that passes,
the bridge connecting anew (new flag, window read from the table, rows sent again), Grafana restarting (its cached
message lost), and pages that open, close, lose their connection for up to nine keyframes, are too busy to draw, or go
and come back at once.

It writes down what the judge is to be told and, at each look, what would be right (see `tests.browser.verdict`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from tests.browser.table import Row, Table
from tests.browser.verdict import Expectation, History
from tests.browser.world import Bridge, Grafana
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import OPENING_KEYFRAMES, Keyframes

MakeKeyframes = Callable[[Window, float, int], Keyframes]

KINDS: Final = ("one", "five", "text", "series")
_MISSABLE_KEYFRAMES: Final = 9
_INTERVAL_S: Final = 2.0
# Grafana: public/app/features/live/centrifuge/service.ts.
_PAGE_BUFFER_ROWS: Final = 100


class _Page:
    """A tab: how many rows it must show at least now (None: unknown), and whether only rows in order came since."""

    def __init__(self) -> None:
        self.floor: int | None = None
        self.in_order = False
        self.is_busy = False
        self.misses_keyframes = 0


class _Story:
    """A history under way."""

    def __init__(self, seed: int, make_keyframes: MakeKeyframes) -> None:
        self._dice = random.Random(seed)
        self._make_keyframes = make_keyframes
        self._table = Table(self._dice.choice(KINDS), self._dice)
        self._rows = self._dice.choice((1, 2, 5, 20, 20, 60, 150))
        self._grafana = Grafana()
        self._pages: dict[int, _Page] = {}
        self._pages_made = 0
        self._unsent: list[list[Row]] = []
        self.expectations: list[Expectation] = []
        self._table.put(self._table.new(self._dice.choice((0, 1, 10, 2 * self._rows))))
        self._bridge = self._connected_bridge(now=0.0)

    @property
    def commands(self) -> list[str]:
        return self._grafana.commands

    def tell(self) -> None:
        """All of it; at its end everybody is back, and two more keyframes come."""
        events: list[tuple[Callable[[], None], int]] = [
            (self._rows_come, 12),
            (self._time_passes, 8),
            (self._new_series, 1),
            (self._bridge_reconnects, 1),
            (self._grafana_restarts, 1),
            (self._page_opens, 3),
            (self._page_closes, 1),
            (self._page_is_cut, 2),
            (self._page_is_busy, 1),
            (self._page_comes_again, 1),
            (self._look_between, 4),
        ]
        names, weights = zip(*events, strict=True)
        self._page_opens()
        for _ in range(self._dice.randrange(5, 40)):
            self._dice.choices(names, weights)[0]()
        if not self._pages:
            self._page_opens()
        for name, page in self._pages.items():
            page.misses_keyframes = 0
            self._set_busy(name, busy=False)
        self._come_back()
        self._send([self._table.new(1)])
        self._bridge.run_until(self._bridge.now + 30)

    def _send(self, batches: list[list[Row]]) -> None:
        for rows in batches:
            self._bridge.take_in(rows, accepted=lambda rows=rows: self._table.put(rows))  # type: ignore[misc]
            self._unsent.append(rows)
            if self._bridge.is_empty:
                self._unsent.clear()

    def _rows_come(self) -> None:
        dice = self._dice
        count = dice.choice((1, 1, 3, self._rows, 2 * self._rows + 1))
        kind = dice.choice(("in order", "in order", "late", "shuffled", "again"))
        if kind == "again" and len(self._table):
            rows = self._table.again(min(count, 5))
        else:
            rows = self._table.new(count, late=kind == "late")
        if kind == "shuffled":
            dice.shuffle(rows)
        self._send([rows])
        # Afterwards: a keyframe may have gone before them.
        if kind != "in order":
            self._out_of_order()
        if dice.random() < 0.7:
            self._bridge.run_until(self._bridge.now + 0.1)

    def _push(self, message: bytes) -> None:
        # Grafana hands a panel too few rows of a message that is longer than the page's buffer (see
        # `tests.browser.test_buffer`); until the next keyframe such a panel has a gap.
        if self._grafana.push(message) > max(_PAGE_BUFFER_ROWS, self._rows):
            self._out_of_order()

    def _out_of_order(self) -> None:
        for page in self._pages.values():
            page.in_order = False

    def _time_passes(self) -> None:
        self._bridge.run_until(self._bridge.now + self._dice.choice((0.05, 0.5, 2.5, 6.0)))
        if self._bridge.is_empty:
            self._unsent.clear()

    def _new_series(self) -> None:
        self._table.add_series()

    def _connected_bridge(self, now: float) -> Bridge:
        keyframes = self._make_keyframes(Window(self._rows), _INTERVAL_S, self._dice.randrange(10))
        bridge = Bridge(
            self._push,
            keyframes,
            now=now,
            interval_s=self._dice.choice((0.0, 0.1)),
            max_message_bytes=self._dice.choice((500, 3_000, 65_536)),
            sparse=self._table.kind == "series",
            after_keyframe=self._after_keyframe,
        )
        bridge.refill(self._table.by_time()[-self._rows :])
        return bridge

    def _bridge_reconnects(self) -> None:
        # What was taken in and not sent is sent by the new connection, with rows that had been sent before.
        resent = self._unsent
        self._unsent = []
        self._bridge = self._connected_bridge(self._bridge.now + 1.0)
        if self._dice.random() < 0.5:
            self._bridge.run_until(self._bridge.now)
        again = [self._table.again(self._dice.randrange(1, 5))] if len(self._table) else []
        self._send(again + resent)
        self._out_of_order()

    def _grafana_restarts(self) -> None:
        self._grafana.restart()
        for page in self._pages.values():
            page.floor = None
        comes_back_first = self._dice.random() < 0.5
        if comes_back_first:
            self._come_back()
        self._bridge_reconnects()
        if not comes_back_first:
            self._bridge.run_until(self._bridge.now + self._dice.choice((0.0, 1.0)))
            self._come_back()

    def _page_opens(self) -> None:
        self._pages_made += 1
        name = self._pages_made
        self._pages[name] = _Page()
        names = {"one": ["time", "value"], "text": ["a", "value", "time"]}.get(self._table.kind)
        for panel in range(self._dice.choice((1, 1, 2))):
            options: dict[str, Any] = {"maxLength": self._rows + self._dice.choice((0, 7, 5_000))}
            if self._dice.random() < 0.3:
                options["maxDelta"] = 24 * 3_600_000
            if names is not None and self._dice.random() < 0.5:
                options["fields"] = names
            self._grafana.tell("open", name, str(panel), options)
        self._grafana.subscribe(name)

    def _some_page(self) -> tuple[int, _Page] | None:
        return self._dice.choice(list(self._pages.items())) if self._pages else None

    def _page_closes(self) -> None:
        if (some := self._some_page()) is None:
            return
        name, _ = some
        if name in self._grafana.connected:
            self._grafana.lose(name)
        del self._pages[name]
        self._grafana.tell("close", name)

    def _page_is_cut(self) -> None:
        some = self._some_page()
        if some is not None and some[0] in self._grafana.connected:
            name, page = some
            self._grafana.lose(name)
            page.floor = None
            page.misses_keyframes = self._dice.randrange(_MISSABLE_KEYFRAMES + 1)

    def _come_back(self) -> None:
        for name, page in self._pages.items():
            if name not in self._grafana.connected and page.misses_keyframes <= 0:
                page.floor = None
                self._grafana.subscribe(name)

    def _page_is_busy(self) -> None:
        if (some := self._some_page()) is not None:
            self._set_busy(some[0], busy=not some[1].is_busy)

    def _set_busy(self, name: int, *, busy: bool) -> None:
        if self._pages[name].is_busy != busy:
            self._pages[name].is_busy = busy
            self._grafana.tell("busy" if busy else "idle", name)

    def _page_comes_again(self) -> None:
        if (some := self._some_page()) is not None:
            name, page = some
            page.floor = None
            page.is_busy = False
            self._grafana.tell("again", name)

    def _after_keyframe(self, number: int) -> None:
        if number >= OPENING_KEYFRAMES:
            drawn = [name for name in self._grafana.connected if not self._pages[name].is_busy]
            rows = self._table.by_time()
            self._look(drawn, rows, least=self._rows, most=self._rows)
            for name in drawn:
                self._pages[name].floor = min(self._rows, len(rows))
                self._pages[name].in_order = True
        for page in self._pages.values():
            page.misses_keyframes -= 1
        self._come_back()

    def _look_between(self) -> None:
        """Between two keyframes the pages that saw only rows in order show the end of the table."""
        if self._bridge.is_empty:
            pages = [
                name
                for name, page in self._pages.items()
                if page.in_order and page.floor is not None and not page.is_busy
            ]
            self._look(pages, self._table.by_time(), least=self._rows, most=len(self._table))

    def _look(self, names: list[int], rows: list[Row], *, least: int, most: int) -> None:
        floors = {name: floor for name in names if (floor := self._pages[name].floor) is not None}
        self._grafana.tell("look", len(self.expectations), names)
        self.expectations.append(Expectation(rows, min(least, len(rows)), most, floors))


def history(seed: int, make_keyframes: MakeKeyframes) -> History:
    """The history that `seed` decides; the sender's keyframes are made by `make_keyframes` (window, interval, flag)."""
    story = _Story(seed, make_keyframes)
    story.tell()
    return History(seed, story.commands, story.expectations)
