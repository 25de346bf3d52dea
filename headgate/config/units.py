"""Durations and sizes as people write them."""

import re
from typing import Any

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
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_duration(value: Any) -> Any:
    """Return seconds for "250ms", "5s", "2m", "1h", "1d"; anything but a string is returned as it came. Raises ValueError."""
    return _parse(value, _DURATION, 'a duration such as "250ms", "5s" or "2m"')


def parse_size(value: Any) -> Any:
    """Return bytes for "8KiB", "1MiB", "500"; anything but a string is returned as it came. Raises ValueError."""
    size = _parse(value, _SIZE, 'a size such as "8KiB" or "1MiB"')
    return int(size) if isinstance(size, float) and size.is_integer() else size


def _parse(value: Any, units: dict[str, Any], expected: str) -> Any:
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value)
    if found is None or found[2].lower() not in units:
        raise ValueError(f"expected {expected}")
    return float(found[1]) * units[found[2].lower()]
