r"""One page of JSON rows → one batch of lines that Grafana certainly accepts; rows that cannot be lines are rejected.

Total: whatever bytes a row is made of, it becomes one line or one `Rejection`, never an exception, and its neighbours
never notice. The schema is constant: every line carries every field of the mapping (of a series route: of its
series), in one order, each of one type.

    in the row                               in the line
    number                                   float64: as PostgreSQL wrote it, or as the shortest decimal
    integer that float64 has to round        the nearest float64; counted ``rounded``
    number that float64 cannot hold          rejected ``out_of_range``
    bool                                     1 or 0
    null in a number or boolean field        "NaN", which Grafana takes for null
    NaN                                      as null
    Infinity, -Infinity                      as null; counted ``infinity``
    text, enum, uuid, interval and others    "…" with " and \ escaped
    json, jsonb, array, composite            its JSON text, as a text
    null in a text field                     ""
    text that is just NaN                    "NaN " (with a space, or Grafana makes the column numbers)
    lone CR or form feed in a text           U+FFFD; counted ``control_character``
    half of a surrogate pair, invalid UTF-8  U+FFFD; counted ``not_unicode``
    field or tag that the row does not have  as null; counted ``missing``
    null or empty tag                        tag left out
    tag with control characters, or with a   U+FFFD in their place; counted ``tag_character``
      backslash where it would escape
    text, number or boolean of the series    in the names of the fields: value_a, level_a, or a alone if the
      column                                 route has one field; fields of other series are not in the line
    series null, empty or missing            rejected ``series_missing``
    row of one more series than allowed      rejected ``too_many_series``; the rows of known series are sent
    value of another type than its field     rejected ``wrong_type``
    time null or missing                     rejected ``time_missing``
    time infinite                            rejected ``time_infinite``
    time before 1677 or after 2262           rejected ``time_out_of_range``
    time that is none                        rejected ``time_invalid``
    not JSON, or not an object               rejected ``not_json``
    nested too deep                          rejected ``too_deep``
    time before the oldest that is wanted    rejected ``stale``; learns no series, nothing of it counts
    line over 60 KiB, or row not fetched     rejected ``too_large`` (of a series route: over 36 KiB)
    payload whose fields are all null        rejected ``no_fields`` (a table's row is sent)

Pages of good rows go the way of `page_encoding`, good rows that of `quick_encoding`, both compiled once from the
mapping, all others the careful way of `values`. A
rejected row counts once, by its reason; what would have been nulled in it does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from trio_bridge.decoder import lines, values
from trio_bridge.decoder.mapping import Field, Mapping
from trio_bridge.decoder.order import in_order_of, in_time_order
from trio_bridge.decoder.page_encoding import LEAST_ROWS, PageWay, page_way
from trio_bridge.decoder.quick_encoding import NOT_QUICK, quick_way, quick_way_of_series
from trio_bridge.decoder.series import Series
from trio_bridge.errors import PayloadError
from trio_bridge.records import Batch, Page, Rejection

# A JSON value (None: its key is missing) as a word of the line; what is sent otherwise than written is counted.
_Writer = Callable[[bytes | None, Counter[str]], str | int]


class Encoder:
    """Turns pages into batches by one mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._writers = _careful_writers(mapping)
        self._series: Series | None = None
        self._page_way: PageWay | None = None
        if mapping.series is None:
            names = [field.name for field in mapping.fields]
            self._template = lines.line_template(mapping.measurement, names, tags=len(mapping.tags))
            self._quick = quick_way(mapping, self._template)
            self._page_way = page_way(mapping, self._template)
        else:
            self._series = Series(mapping, mapping.series.most)
            self._quick = quick_way_of_series(mapping, mapping.series, self._series.templates)

    def encode(self, page: Page, oldest_ns: int | None = None) -> Batch:
        """The lines of `page` by time, and the rejections of the rows that did not become lines.

        Args:
            page: the rows.
            oldest_ns: rows with a time before this (ns since 1970) are rejected; None: no row is too old, at no cost.
        """
        if self._page_way is not None and len(page.rows) >= LEAST_ROWS:
            try:
                return self._encode_whole(self._page_way, page, oldest_ns)
            except (*NOT_QUICK, PayloadError):
                # One of its rows needs care, or is rejected: each is looked at.
                pass
        quick = self._quick if oldest_ns is None else partial(self._encode_if_fresh, oldest_ns)
        encoded: list[bytes] = []
        rejections: dict[int, Rejection] = {}
        nulled: Counter[str] = Counter()
        for index, row in enumerate(page.rows):
            try:
                try:
                    line = quick(row) if row is not None else self._encode_carefully(row, nulled, oldest_ns)
                except NOT_QUICK:
                    line = self._encode_carefully(row, nulled, oldest_ns)
            except PayloadError as refusal:
                rejections[index] = Rejection(refusal.reason, page.keys[index], str(refusal))
            else:
                encoded.append(line)
        keys = page.keys
        if rejections:
            keys = [key for index, key in enumerate(keys) if index not in rejections]
        ordered, keys = in_time_order(encoded, keys)
        return Batch(
            mark=page.mark,
            lines=ordered,
            rejections=list(rejections.values()),
            nulled=dict(nulled),
            pulled_at=page.pulled_at,
            rung_at=page.rung_at,
            keys=keys,
            defaults=b"" if self._series is None else self._series.defaults,
        )

    def _encode_whole(self, way: PageWay, page: Page, oldest_ns: int | None) -> Batch:
        encoded, times = way(page.rows)
        if oldest_ns is not None and min(times) < oldest_ns:
            raise self._stale()
        ordered, keys = in_order_of(times, encoded, page.keys)
        return Batch(page.mark, ordered, [], pulled_at=page.pulled_at, rung_at=page.rung_at, keys=keys)

    def _encode_if_fresh(self, oldest_ns: int, row: bytes) -> bytes:
        line = self._quick(row)
        # A line ends in its time.
        if int(line[line.rindex(b" ") :]) < oldest_ns:
            raise self._stale()
        return line

    def _stale(self) -> PayloadError:
        return PayloadError("stale", f'"{self._mapping.time}" is longer ago than max_age')

    def _encode_carefully(
        self, row: bytes | None, nulled: Counter[str], oldest_ns: int | None = None
    ) -> bytes:
        if row is None:
            raise PayloadError("too_large", "the row is larger than what is fetched")
        noted: Counter[str] = Counter()
        members = values.json_members(row, noted)
        words = [write(members.get(column), noted) for column, write in self._writers]
        if oldest_ns is not None and int(words[-1]) < oldest_ns:
            raise self._stale()
        if self._mapping.from_payload and all(
            members.get(field.column, b"null") == b"null" for field in self._mapping.fields
        ):
            raise PayloadError("no_fields", "every field is null or missing")
        line = self._line(members, tuple(words))
        nulled.update(noted)
        return line

    def _line(self, members: dict[str, bytes], words: tuple[str | int, ...]) -> bytes:
        if self._series is None or self._mapping.series is None:
            return lines.encoded_line(self._template % words)
        column = self._mapping.series.column
        return self._series.line(values.series_text(members.get(column), column), words)


def _careful_writers(mapping: Mapping) -> list[tuple[str, _Writer]]:
    """For each place of the template the column that fills it and how; together they read any JSON object."""

    def tag(name: str) -> _Writer:
        head = f",{lines.escaped_name(name)}="
        return lambda value, nulled: values.tag_pair(value, head, nulled)

    def field(field: Field) -> _Writer:
        if field.kind in {"number", "boolean"}:
            return lambda value, nulled: values.number_field(value, field.column, nulled)
        return values.text_field

    return [
        *((place.column, tag(place.name)) for place in mapping.tags),
        *((place.column, field(place)) for place in mapping.fields),
        (mapping.time, lambda value, _: values.time_ns(value, mapping.time, mapping.time_unit)),
    ]
