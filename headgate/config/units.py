"""Durations, sizes and shares as people write them, read and shown."""

import re
from typing import Any

DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|MS|S|M|H|D)\s*$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([KMGkmg]?[Bb]?|[KMGkmg][Ii][Bb])\s*$"
SHARE_PATTERN = r"^\s*\d+(\.\d+)?\s*%\s*$"
"""The same forms for the JSON Schema."""

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1000,
    "kib": 1 << 10,
    "m": 10**6,
    "mb": 10**6,
    "mib": 1 << 20,
    "g": 10**9,
    "gb": 10**9,
    "gib": 1 << 30,
}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)

A_DURATION = 'a duration such as "250ms", "5s", "2m" or "1h", or a number of seconds'
A_SHARE = 'a share such as "1%" or 0.01'
A_SIZE = 'a size such as "500", "8KiB", "1MiB" or "2GiB", or a number of bytes'


def parse_duration(value: Any) -> Any:
    """Return seconds for "250ms", "5s", "2m", "1h", "1d"; anything but a string is returned as it came. Raises ValueError."""
    return _parse(value, _DURATION, A_DURATION)


def parse_size(value: Any) -> Any:
    """Return bytes for "8KiB", "1MiB", "500"; anything but a string is returned as it came. Raises ValueError."""
    size = _parse(value, _SIZE, A_SIZE)
    return int(size) if isinstance(size, float) and size.is_integer() else size


def parse_share(value: Any) -> Any:
    """Return 0.01 for "1%"; anything but a string is returned as it came. Raises ValueError."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(SHARE_PATTERN, value, re.ASCII):
        raise ValueError(f"expected {A_SHARE}")
    return float(value.strip().removesuffix("%")) / 100


def _parse(value: Any, units: dict[str, Any], expected: str) -> Any:
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value)
    if found is None or found[2].lower() not in units:
        raise ValueError(f"expected {expected}")
    return float(found[1]) * units[found[2].lower()]


def show_duration(seconds: float) -> str:
    """Return the shortest exact form of a duration: "250ms", "90s", "5m", "1h"."""
    if seconds < 1:
        return f"{seconds * 1000:.12g}ms"
    for unit, factor in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % factor == 0:
            return f"{seconds // factor:.0f}{unit}"
    return f"{seconds:.12g}s"


def show_share(share: float) -> str:
    """Return a share as people write it: "1%", "0.5%"."""
    return f"{share * 100:.12g}%"


def show_size(size: int) -> str:
    """Return the shortest exact form of a size: "500", "8KiB", "1MiB"."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
