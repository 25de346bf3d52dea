"""Owns how traffic is written into the tables of the file, at three steps of time, and how it is read and forgotten."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from .amounts import Body, add
from .intake import clean

Line = tuple[str, str, str]
"""What traffic is counted by: a kind, an upstream and a name. See KINDS."""
ALL: Final[Line] = ("all", "", "")
KINDS: Final = ("all", "pair", "upstream", "server")
"""Everything; a route (the name) with its upstream; what an upstream's tries came to; a server (the name) of an upstream."""
Read = Callable[[str, tuple[object, ...]], list[tuple[Any, ...]]]

STEPS: Final = (60, 600, 3600)
"""Seconds that a row stands for."""
_DAY: Final = 86_400
KEPT: Final = {60: _DAY, 600: 7 * _DAY, 3600: 100 * _DAY}
KEPT_ALL: Final = {60: 7 * _DAY, 600: 35 * _DAY, 3600: 400 * _DAY}
"""How long rows of each step are kept: those of single lines, and those of all traffic."""
ROW_BYTES: Final = 300
"""What a row takes, about."""
_SHARES: Final = {60: 0.4, 600: 0.2, 3600: 0.4}
_LEAST: Final = 3600
_SMALL: Final = 5000
"""Rows removed in one call."""
_COLUMNS: Final = ("requests", "bad", "seen", "rescued")


def steps_of(line: Line) -> tuple[int, ...]:
    """Return at which steps a line is kept: servers, of which there may be a thousand, by the hour only."""
    return STEPS[2:] if line[0] == "server" else STEPS


def save(db: sqlite3.Connection, minutes: Mapping[int, Mapping[Line, Body]]) -> None:
    """Add amounts to what the file has of each minute, ten minutes and hour. Raises sqlite3.Error."""
    ids: dict[Line, int] = {}
    sums: dict[tuple[int, int, int], Body] = {}
    for at, lines in minutes.items():
        for line, body in lines.items():
            if (id := ids.get(line)) is None:
                id = ids[line] = _id(db, line)
            for step in steps_of(line):
                add(sums.setdefault((step, id, at // step * step), {}), body)
    for key, body in sums.items():
        row = db.execute("SELECT body FROM traffic WHERE step = ? AND line = ? AND at = ?", key).fetchone()
        whole = _joined(row[0], body) if row is not None else body
        db.execute("INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*key, *_numbers(whole), _packed(whole)))


def _id(db: sqlite3.Connection, line: Line) -> int:
    names = tuple(map(clean, line))
    db.execute("INSERT OR IGNORE INTO line (kind, upstream, name) VALUES (?, ?, ?)", names)
    return int(db.execute("SELECT id FROM line WHERE kind = ? AND upstream = ? AND name = ?", names).fetchone()[0])


def _joined(text: str, more: Body) -> Body:
    """Return both together; where the row is damaged, only what is new."""
    whole = body_of(text)
    try:
        add(whole, more)
    except (TypeError, ValueError):
        return more
    return whole


def _numbers(body: Body) -> tuple[int, ...]:
    return (body.get("requests", 0), body.get("bad", 0), total(body.get("seen")), total(body.get("rescued")))


def total(counts: Mapping[str, int] | None) -> int:
    """Return the sum of counts."""
    return sum(counts.values()) if counts else 0


def _packed(body: Body) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True)


def body_of(text: str) -> Body:
    """Return the amounts of a row; none where it is damaged."""
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


# Reading.


def rows_of_all(read: Read, step: int, since: int, until: int) -> Iterator[tuple[int, int, int, int, Body | None]]:
    """Yield (at, requests, seen, rescued, body) of all traffic, oldest first; the body is None where nothing failed."""
    query = (
        "SELECT at, requests, seen, rescued, CASE WHEN seen > 0 THEN body END FROM traffic WHERE step = ? AND at >= ? AND at < ?"
        " AND line = (SELECT id FROM line WHERE kind = 'all')"
    )
    for at, requests, seen, rescued, text in read(query, (step, since, until)):
        yield at, requests, seen, rescued, body_of(text) if text is not None else None


def spreads_of_all(read: Read, step: int, since: int, until: int) -> Iterator[tuple[int, Body]]:
    """Yield (at, body) of all traffic, oldest first."""
    query = (
        "SELECT at, body FROM traffic WHERE step = ? AND at >= ? AND at < ? AND line = (SELECT id FROM line WHERE kind = 'all')"
    )
    for at, text in read(query, (step, since, until)):
        yield at, body_of(text)


def rows_by_name(read: Read, step: int, since: int, until: int, width: int, column: str) -> list[tuple[Any, ...]]:
    """Return (at, name, requests, bad, seen, rescued) of pairs, summed over `width` seconds. column: "name" or "upstream"."""
    assert column in ("name", "upstream")
    lines = read(f"SELECT id, {column} FROM line WHERE kind = 'pair'", ())  # noqa: S608
    query = (
        "SELECT at / ? * ?, sum(requests), sum(bad), sum(seen), sum(rescued) FROM traffic"
        " WHERE step = ? AND line = ? AND at >= ? AND at < ? GROUP BY 1"  # in the order of the key: nothing is sorted
    )
    return [(at, name, *numbers) for id, name in lines for at, *numbers in read(query, (width, width, step, id, since, until))]


def counts(read: Read, step: int, since: int, until: int) -> dict[Line, tuple[int, int]]:
    """Return requests, and those that went wrong, of each pair."""
    found: dict[Line, tuple[int, int]] = {}
    query = "SELECT sum(requests), sum(bad) FROM traffic WHERE step = ? AND line = ? AND at >= ? AND at < ?"
    for id, upstream, name in read("SELECT id, upstream, name FROM line WHERE kind = 'pair'", ()):
        for requests, bad in read(query, (step, id, since, until)):
            if requests:
                found["pair", upstream, name] = (requests, bad)
    return found


def bodies(read: Read, step: int, since: int, until: int, kind: str, name: str | None = None) -> Iterator[tuple[int, Line, Body]]:
    """Yield (at, line, body) of lines of a kind, and of a name where one is given."""
    query = (
        "SELECT at, kind, upstream, name, body FROM line CROSS JOIN traffic ON traffic.line = line.id"
        " WHERE kind = ? AND step = ? AND at >= ? AND at < ? AND name = ifnull(?, name)"
    )
    for at, of, upstream, label, text in read(query, (kind, step, since, until, name)):
        yield at, (of, upstream, label), body_of(text)


# Forgetting.


def tidy(db: sqlite3.Connection, now: float, most: int) -> bool:
    """Remove a bounded part of what is too old or too much. Returns whether there may be more. Raises sqlite3.Error.

    most: rows that there may be, about.
    """
    more = False
    for step in STEPS:
        everything = "= (SELECT id FROM line WHERE kind = 'all')"
        single = "IN (SELECT id FROM line WHERE kind <> 'all')"
        rows, first = db.execute(f"SELECT count(*), min(at) FROM traffic WHERE step = ? AND line {single}", (step,)).fetchone()  # noqa: S608
        kept = float(KEPT[step])
        room = most * _SHARES[step]
        if rows > room:
            kept = max(_LEAST, min(kept, now - first) * room / rows)
        for which, oldest in ((single, now - kept), (everything, now - KEPT_ALL[step])):
            chosen = f"SELECT line, at FROM traffic WHERE step = ? AND line {which} AND at < ? LIMIT {_SMALL}"  # noqa: S608
            done = db.execute(
                f"DELETE FROM traffic WHERE step = ? AND (line, at) IN ({chosen})",  # noqa: S608
                (step, step, oldest),
            )
            more = more or done.rowcount >= _SMALL
    if not more:
        kept_by = "SELECT 1 FROM traffic WHERE traffic.line = line.id AND step IN (60, 600, 3600)"
        db.execute(f"DELETE FROM line WHERE kind <> 'all' AND NOT EXISTS ({kept_by})")  # noqa: S608
    return more


def merged(found: Iterable[tuple[Line, Body]]) -> dict[Line, Body]:
    """Return the sums by line; what is damaged is left out."""
    sums: dict[Line, Body] = {}
    for line, body in found:
        try:
            add(sums.setdefault(line, {}), body)
        except (TypeError, ValueError):
            continue
    return sums
