"""Units of measure: how they are written, and what they are worth in one base unit each.

Data only. A unit is (dimension, factor): 500 ms and 0.5 s are the same quantity, 5 s and 5 m are
not. Percent and percentage points are two dimensions: five per cent more is not five points more.
"""

from __future__ import annotations

from decimal import Decimal

__all__ = ["MAGNITUDES", "SYMBOLS", "UNIT_WORDS", "Unit"]

Unit = tuple[str, Decimal]


def _scaled(dimension: str, **symbols: str) -> dict[str, Unit]:
    return {symbol: (dimension, Decimal(factor)) for symbol, factor in symbols.items()}


# Symbols are case-sensitive: mM is no Mm, and a b is a bit.
SYMBOLS: dict[str, Unit] = {
    **_scaled("s", ns="1e-9", us="1e-6", μs="1e-6", ms="1e-3", s="1", h="3600"),
    **_scaled("m", nm="1e-9", um="1e-6", μm="1e-6", mm="1e-3", cm="1e-2", m="1", km="1e3"),
    **_scaled("g", μg="1e-6", ug="1e-6", mg="1e-3", g="1", kg="1e3"),
    **_scaled("l", μl="1e-6", μL="1e-6", ml="1e-3", mL="1e-3", l="1", L="1"),
    **_scaled("mol", nM="1e-9", μM="1e-6", mM="1e-3", mol="1"),
    **_scaled("B", kB="1e3", KB="1e3", MB="1e6", GB="1e9", TB="1e12", PB="1e15"),
    **_scaled("B", KiB="1024", MiB="1048576", GiB="1073741824", TiB="1099511627776"),
    **_scaled("bit/s", bps="1", kbps="1e3", Kbps="1e3", Mbps="1e6", Gbps="1e9"),
    **_scaled("Hz", Hz="1", kHz="1e3", KHz="1e3", MHz="1e6", GHz="1e9", THz="1e12"),
    **_scaled("FLOP", FLOPs="1", MFLOPs="1e6", GFLOPs="1e9", TFLOPs="1e12", PFLOPs="1e15"),
    **_scaled("FLOP", FLOPS="1", MFLOPS="1e6", GFLOPS="1e9", TFLOPS="1e12", PFLOPS="1e15"),
    **_scaled("V", μV="1e-6", mV="1e-3", V="1", kV="1e3"),
    **_scaled("W", mW="1e-3", W="1", kW="1e3", MW="1e6", GW="1e9"),
    **_scaled("J", mJ="1e-3", J="1", kJ="1e3", MJ="1e6"),
    **_scaled("Pa", Pa="1", kPa="1e3", MPa="1e6"),
    **_scaled("eV", eV="1", keV="1e3", MeV="1e6", GeV="1e9"),
    **_scaled("Wh", Wh="1", kWh="1e3", MWh="1e6"),
    **_scaled("dB", dB="1"),
    **_scaled("px", px="1"),
    **_scaled("fps", fps="1", FPS="1"),
    "°C": ("°C", Decimal(1)),
    "°F": ("°F", Decimal(1)),
    "°": ("°", Decimal(1)),
    "%": ("%", Decimal(1)),
    "‰": ("%", Decimal("0.1")),
    "pp": ("points", Decimal(1)),
    "x": ("times", Decimal(1)),
    "×": ("times", Decimal(1)),
    "bps": ("bit/s", Decimal(1)),
}

_WORDS: dict[str, dict[str, str]] = {
    "s": {
        "millisecond milliseconds msec": "1e-3", "microsecond microseconds": "1e-6",
        "nanosecond nanoseconds": "1e-9", "second seconds sec secs": "1",
        "minute minutes min mins": "60", "hour hours hr hrs": "3600", "day days": "86400",
        "week weeks": "604800",
    },
    "month": {"month months": "1", "year years yr yrs": "12", "decade decades": "120",
              "century centuries": "1200"},
    "m": {
        "nanometer nanometers nanometre nanometres": "1e-9",
        "micrometer micrometers micrometre micrometres": "1e-6",
        "millimeter millimeters millimetre millimetres": "1e-3",
        "centimeter centimeters centimetre centimetres": "1e-2",
        "meter meters metre metres": "1", "kilometer kilometers kilometre kilometres": "1e3",
    },
    "ft": {"foot feet ft": "1"}, "mile": {"mile miles": "1"}, "inch": {"inch inches": "1"},
    "g": {"milligram milligrams": "1e-3", "gram grams": "1", "kilogram kilograms kilo": "1e3",
          "tonne tonnes": "1e6"},
    "ton": {"ton tons": "1"}, "lb": {"pound pounds lb lbs": "1"},
    "l": {"milliliter milliliters millilitre millilitres": "1e-3",
          "liter liters litre litres": "1"},
    "B": {"byte bytes": "1", "kilobyte kilobytes": "1e3", "megabyte megabytes": "1e6",
          "gigabyte gigabytes": "1e9", "terabyte terabytes": "1e12"},
    "bit": {"bit bits": "1"},
    "Hz": {"hertz": "1", "kilohertz": "1e3", "megahertz": "1e6", "gigahertz": "1e9"},
    "V": {"volt volts": "1"}, "W": {"watt watts": "1", "kilowatt kilowatts": "1e3",
                                   "megawatt megawatts": "1e6"},
    "J": {"joule joules": "1"}, "dB": {"decibel decibels db": "1"},
    "px": {"pixel pixels": "1"}, "fps": {"frames per second": "1"},
    "FLOP": {"gflops": "1e9", "tflops": "1e12", "mflops": "1e6", "flops": "1"},
    "°C": {"degrees celsius": "1"}, "°F": {"degrees fahrenheit": "1"}, "°": {"degree degrees": "1"},
    "%": {"percent pct": "1"}, "points": {"point points pts": "1"},
    "times": {"times fold": "1"},
    "$": {"dollar dollars usd": "1"}, "€": {"euro euros eur": "1"},
}  # fmt: skip

_PHRASES = {"frames per second", "degrees celsius", "degrees fahrenheit"}

# Words are matched without case; the longer phrase wins.
UNIT_WORDS: dict[str, Unit] = {
    "per cent": ("%", Decimal(1)),
    "percentage point": ("points", Decimal(1)),
    "percentage points": ("points", Decimal(1)),
    **{
        name: (dimension, Decimal(factor))
        for dimension, names in _WORDS.items()
        for group, factor in names.items()
        for name in ([group] if group in _PHRASES else group.split())
    },
}

MAGNITUDES: dict[str, Decimal] = {
    "hundred": Decimal(100), "thousand": Decimal(1000), "million": Decimal(10**6),
    "billion": Decimal(10**9), "trillion": Decimal(10**12), "k": Decimal(1000),
    "K": Decimal(1000), "M": Decimal(10**6), "B": Decimal(10**9), "T": Decimal(10**12),
    "bn": Decimal(10**9), "mn": Decimal(10**6),
}  # fmt: skip
