"""JSON values, as Postgres writes them, → the numbers, texts and nanoseconds of a line; one value at a time.

This is the careful way, for a value of which nothing is known but that it is JSON text: whatever it is, it becomes a
word of a line or a `PayloadError` with a reason. What is sent otherwise than it was written (nulled, rounded,
replaced) is counted in the `nulled` that the caller passes. The encoder takes a quicker way where types fit, through
the same `datetime_ns`, `epoch_ns` and `text_field`; both ways give the same bytes.

Time is int64 nanoseconds since 1970 in UTC (1677-09-21 to 2262-04-11), computed in integers and decimals, so that
microseconds stay exact. Pure functions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import repeat
from operator import sub

import msgspec

from trio_bridge.decoder import lines
from trio_bridge.decoder.mapping import TimeUnit
from trio_bridge.errors import PayloadError

_NS_PER = {"s": Decimal(10**9), "ms": Decimal(10**6), "us": Decimal(10**3), "ns": Decimal(1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001  # a timestamp without zone is taken as UTC
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
# 40 digits hold every int64 number of nanoseconds with its fraction; no traps, so that nothing in a payload raises.
_CONTEXT = Context(prec=40, traps=[])

# What a number column may hold beside numbers: null, bool, and what JSON has no number for.
_WORDS = {"null": lines.NULL_NUMBER, '"NaN"': lines.NULL_NUMBER, "true": "1", "false": "0"}
_INFINITIES = frozenset({'"Infinity"', '"-Infinity"'})
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(r"(?P<year>[0-9]{4,6})-[0-9]{2}-[0-9]{2}(?:[T ].*?)??(?P<bc> BC)?\Z")
# An escape of a surrogate that is not half of a pair. Pairs and other escapes match too, so that none is cut in two.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)

_string = msgspec.json.Decoder(str).decode
_rfc3339 = msgspec.json.Decoder(datetime).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def json_members(row: bytes, nulled: Counter[str]) -> dict[str, bytes]:
    """The members of the JSON object `row`, each still JSON text; of equal keys the last counts.

    What is not Unicode (bytes that are not UTF-8, halves of surrogate pairs) becomes U+FFFD, counted ``not_unicode``.

    Raises:
        PayloadError: ``not_json`` or ``too_deep``.
    """
    text = row.decode("utf-8", "replace")
    if "\\u" in text:
        text = _ESCAPE.sub(lambda escape: "\\ufffd" if escape[1] else escape[0], text)
    unicode = text.encode()
    if unicode != row:
        nulled["not_unicode"] += 1
    try:
        members = _members(unicode)
    except RecursionError:
        raise PayloadError("too_deep", "arrays or objects are nested too deep") from None
    except msgspec.ValidationError:
        raise PayloadError("not_json", "the payload is JSON, but not an object") from None
    except msgspec.DecodeError:
        raise PayloadError("not_json", "the payload is not JSON") from None
    return {key: bytes(value) for key, value in members.items()}


def number_field(value: bytes | None, column: str, nulled: Counter[str]) -> str:
    """A JSON value (None: its key is missing) as the float64 of a number or boolean field.

    Raises:
        PayloadError: ``wrong_type``, or ``out_of_range`` for a number that float64 cannot hold.
    """
    if value is None:
        nulled["missing"] += 1
        return lines.NULL_NUMBER
    text = value.decode()
    if text in _WORDS:
        return _WORDS[text]
    if text in _INFINITIES:
        nulled["infinity"] += 1
        return lines.NULL_NUMBER
    if not _NUMBER.match(text):
        raise PayloadError("wrong_type", f'"{column}" is no number')
    number = float(text)
    if math.isinf(number):
        raise PayloadError("out_of_range", f'"{column}" is a number beyond float64')
    if not text.lstrip("-").isdigit():
        return repr(number)
    # An integer below 1e309, so far from the number of digits at which int() refuses.
    integer = int(text)
    if integer != number:
        nulled["rounded"] += 1
    return str(integer) if abs(integer) <= 2**53 else repr(number)


def text_field(value: bytes | None, nulled: Counter[str]) -> str:
    """A JSON value (None: its key is missing) as a text field; what is not a string is sent as its JSON text."""
    if value is None:
        nulled["missing"] += 1
        return lines.NULL_TEXT
    text = json_text(value)
    cleaned = lines.cleaned_text(text)
    if cleaned != text:
        nulled["control_character"] += 1
    return lines.quoted_text(cleaned)


def tag_pair(value: bytes | None, head: str, nulled: Counter[str]) -> str:
    """A JSON value (None: its key is missing) as a tag behind `head` (``,name=``); nothing if it is null or empty."""
    if value is None:
        nulled["missing"] += 1
        return ""
    text = json_text(value)
    cleaned = lines.cleaned_tag(text)
    if cleaned != text:
        nulled["tag_character"] += 1
    return head + lines.escaped_tag(cleaned) if cleaned else ""


def series_text(value: bytes | None, column: str) -> str:
    """A JSON value (None: its key is missing) as the text of a series, as it stands in the row.

    Raises:
        PayloadError: ``series_missing`` where there is no text.
    """
    text = json_text(value) if value is not None else ""
    if not text:
        raise PayloadError("series_missing", f'"{column}" is null, empty or missing')
    return text


def json_text(value: bytes) -> str:
    """The characters of a string, nothing for null, the JSON text of anything else."""
    if value.startswith(b'"'):
        return _string(value)
    return "" if value == b"null" else value.decode()


def time_ns(value: bytes | None, column: str, unit: TimeUnit) -> int:
    """A JSON value (None: its key is missing) as a time: RFC 3339 or Postgres' ISO format, or a count of `unit`.

    A time without zone is taken as UTC, a date as its midnight.

    Raises:
        PayloadError: ``time_missing``, ``time_infinite``, ``time_out_of_range`` or ``time_invalid``.
    """
    if value is None or value == b"null":
        raise PayloadError("time_missing", f'"{column}" is null or missing')
    try:
        return datetime_ns(_rfc3339(value), column)
    except msgspec.ValidationError:
        text = json_text(value)
    if text.lower() in {"infinity", "-infinity"}:
        raise PayloadError("time_infinite", f'"{column}" is infinite')
    if _NUMBER.match(text):
        return epoch_ns(text, column, unit)
    date = _DATE.match(text)
    if date and (date["bc"] or len(date["year"]) > 4):
        raise _out_of_range(column)
    if date:
        try:
            return datetime_ns(datetime.fromisoformat(text), column)
        except ValueError:
            pass
    raise PayloadError("time_invalid", f'"{column}" is no time')


def datetime_ns(time: datetime, column: str) -> int:
    """`time` in ns since 1970; without zone it is taken as UTC.

    Raises:
        PayloadError: ``time_out_of_range``.
    """
    since: timedelta = time - (_EPOCH_NAIVE if time.tzinfo is None else _EPOCH)
    ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    if _INT64_MIN <= ns <= _INT64_MAX:
        return ns
    raise _out_of_range(column)


def datetimes_ns(times: Sequence[datetime], column: str) -> list[int]:
    """`times` (at least one; all with or all without zone) as `datetime_ns` has them, at half its cost.

    Raises:
        PayloadError: ``time_out_of_range``, for one of them.
    """
    epoch = _EPOCH_NAIVE if times[0].tzinfo is None else _EPOCH
    numbers = [
        ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
        for since in map(sub, times, repeat(epoch))
    ]
    if min(numbers) >= _INT64_MIN and max(numbers) <= _INT64_MAX:
        return numbers
    raise _out_of_range(column)


def epoch_ns(count: str, column: str, unit: TimeUnit) -> int:
    """The decimal number `count` of `unit` since 1970 in ns since 1970, to the nearest.

    Raises:
        PayloadError: ``time_out_of_range``.
    """
    number = _CONTEXT.create_decimal(count)
    # Before anything is computed: int(Decimal("1e999999")) would take a million digits.
    if not (number.is_finite() and _INT64_MIN <= number <= _INT64_MAX):
        raise _out_of_range(column)
    scaled = _CONTEXT.multiply(number, _NS_PER[unit])
    ns = int(scaled.to_integral_value(ROUND_HALF_EVEN, _CONTEXT))
    if _INT64_MIN <= ns <= _INT64_MAX:
        return ns
    raise _out_of_range(column)


def _out_of_range(column: str) -> PayloadError:
    return PayloadError("time_out_of_range", f'"{column}" is before 1677-09-21 or after 2262-04-11')
