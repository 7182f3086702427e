"""The name of a column → the unit in which Grafana shows its values: ``temperature_c`` → degrees Celsius.

Looks at the last word of the name (words end at an underscore, a change of case or a digit); where a quantity is named
without its unit (``temperature``, ``voltage``), the unit is the one in which it is usually measured. A name that says
nothing gives none: a wrong unit is worse than a bare number. Pure. The identifiers are those of Grafana's
``@grafana/data`` (valueFormats).
"""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "micros", "microseconds"), "µs"),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), "ns"),
    **dict.fromkeys(("bytes", "byte"), "bytes"),
    **dict.fromkeys(("bits", "bit"), "bits"),
    "bps": "bps",
    "mib": "mbytes",
    "mb": "decmbytes",
    "gb": "decgbytes",
    **dict.fromkeys(("percent", "pct", "percentage"), "percent"),
    **dict.fromkeys(("ratio", "fraction"), "percentunit"),
    **dict.fromkeys(("temperature", "temp", "celsius", "c", "degc"), "celsius"),
    **dict.fromkeys(("fahrenheit", "degf"), "fahrenheit"),
    "kelvin": "kelvin",
    **dict.fromkeys(("humidity", "rh"), "humidity"),
    "hpa": "pressurehpa",
    "kpa": "pressurekpa",
    "bar": "pressurebar",
    "mbar": "pressurembar",
    "psi": "pressurepsi",
    **dict.fromkeys(("hz", "hertz", "frequency"), "hertz"),
    **dict.fromkeys(("w", "watt", "watts", "power"), "watt"),
    "kw": "kwatt",
    "wh": "watth",
    "kwh": "kwatth",
    **dict.fromkeys(("v", "volt", "volts", "voltage"), "volt"),
    **dict.fromkeys(("amp", "amps", "ampere", "amperes"), "amp"),
    "ma": "mamp",
    **dict.fromkeys(("rpm",), "rotrpm"),
    "mm": "lengthmm",
    "km": "lengthkm",
    "kmh": "velocitykmh",
    "kg": "masskg",
    "db": "dB",
    "ppm": "ppm",
    "lux": "lux",
    "eur": "currencyEUR",
    "usd": "currencyUSD",
}

# A scale that does not move with the data, where the unit says how far it goes.
_SCALES: Final = {"percent": (0.0, 100.0), "percentunit": (0.0, 1.0), "humidity": (0.0, 100.0)}

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def unit_of(column: str) -> str | None:
    """Grafana's identifier of the unit that `column` is named after; None: the name does not tell."""
    words = _WORDS.findall(column)
    # A letter alone is a unit at the end of a name, but a name of its own is just a letter.
    if not words or (len(words) == 1 and len(words[0]) == 1):
        return None
    return _UNITS.get(words[-1].lower())


def scale_of(unit: str | None) -> tuple[float, float] | None:
    """Both ends of a gauge's scale for `unit`; None: where the data ends."""
    return None if unit is None else _SCALES.get(unit)
