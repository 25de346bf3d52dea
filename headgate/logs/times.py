"""Owns how a log's time is read: every way of writing it that logs have, told apart by its look.

Times without a zone are taken as UTC; `has_zone` tells which those are, and `join` finds out by how much they are wrong.
"""

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = {
    name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}  # fmt: skip
_CLF: Final = re.compile(rb"(\d\d)/(\w{3})/(\d{4})[: ](\d\d):(\d\d):(\d\d)([.,]\d+)?(?: ?([+-]\d\d):?(\d\d))?")
_ISO: Final = re.compile(
    rb"(\d{4})[-/](\d\d)[-/](\d\d)[T \t](\d\d):(\d\d):(\d\d)([.,]\d+)?(?: ?(?:(Z|UTC|GMT)|([+-]\d\d):?(\d\d)))?"
)
_EPOCH: Final = re.compile(rb"(\d{9,10})(\.\d+)?|(\d{13})|(\d{16})|(\d{19})")
_CTIME: Final = re.compile(rb"(?:\w{3} )?(\w{3}) +(\d\d?) (\d\d):(\d\d):(\d\d)(\.\d+)?(?: (\d{4}))?")
_ZONE: Final = re.compile(rb"(?:[+-]\d\d:?\d\d|Z|UTC|GMT)$")
_MOST: Final = 4096


def parse_time(text: bytes) -> float:
    """Return the time as seconds since the epoch, -1 where it cannot be read."""
    try:
        if found := _CLF.match(text):
            day, month, year, hour, minute, second, rest, zone_hours, zone_minutes = found.groups()
            return _utc(int(year), _MONTHS[month], int(day), hour, minute, second, rest) - _zone(zone_hours, zone_minutes)
        if found := _ISO.match(text):
            year, month, day, hour, minute, second, rest, _, zone_hours, zone_minutes = found.groups()
            return _utc(int(year), int(month), int(day), hour, minute, second, rest) - _zone(zone_hours, zone_minutes)
        if found := _EPOCH.fullmatch(text):
            seconds, rest, milli, micro, nano = found.groups()
            if seconds:
                return int(seconds) + float(rest or 0)
            return int(milli) / 1e3 if milli else int(micro) / 1e6 if micro else int(nano) / 1e9
        if found := _CTIME.match(text):
            return _without_year(*found.groups())
    except (KeyError, ValueError, OverflowError):
        return -1.0
    return -1.0


def _utc(year: int, month: int, day: int, hour: bytes, minute: bytes, second: bytes, rest: bytes | None) -> float:
    whole = timegm((year, month, day, int(hour), int(minute), int(second)))
    return whole + float(rest.replace(b",", b".")) if rest else float(whole)


def _zone(hours: bytes | None, minutes: bytes | None) -> int:
    if not hours or not minutes:
        return 0
    return int(hours) * 3600 + (-1 if hours.startswith(b"-") else 1) * int(minutes) * 60


def _without_year(
    month: bytes, day: bytes, hour: bytes, minute: bytes, second: bytes, rest: bytes | None, year: bytes | None
) -> float:
    """Syslog's time has no year: the latest one that does not lie in the future (a day is allowed for zones)."""
    if year:
        return _utc(int(year), _MONTHS[month], int(day), hour, minute, second, rest)
    now = datetime.now(UTC)
    time = _utc(now.year, _MONTHS[month], int(day), hour, minute, second, rest)
    return time if time <= now.timestamp() + 86400 else _utc(now.year - 1, _MONTHS[month], int(day), hour, minute, second, rest)


def has_zone(text: bytes) -> bool:
    """Return whether the text says its own offset from UTC, or counts from the epoch."""
    return bool(_ZONE.search(text) or _EPOCH.fullmatch(text))


class Times(dict[bytes, float]):
    """Times by their text, parsed once: a log has many lines of the same second. Forgets all when it grows."""

    def __missing__(self, text: bytes) -> float:
        if len(self) >= _MOST:
            self.clear()
        time = self[text] = parse_time(text)
        return time


class Minutes(dict[bytes, int]):
    """Minutes since the epoch by the text of a time; -1 where it cannot be read. Texts of one minute are parsed once."""

    def __missing__(self, text: bytes) -> int:
        short = text[:17] + text[-6:] if text[2:3] == b"/" else text[:16] + text[-6:] if text[-6:-5] in b"+-" else text[:16]
        found = self.get(short, None) if short != text else None
        if found is None:
            time = parse_time(text)
            found = int(time // 60) if time >= 0 else -1
        if len(self) >= _MOST:
            self.clear()
        self[text] = found
        if not text[:10].isdigit():
            self[short] = found
        return found
