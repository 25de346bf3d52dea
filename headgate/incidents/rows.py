"""Owns how an incident is written into the tables, and read from them."""

import json
import sqlite3
import struct
from collections.abc import Iterable
from typing import Any, Final

from .incident import FIRST_SAMPLES, LATEST_SAMPLES, Incident, Tally
from .intake import clean
from .lifecycle import Level
from .schema import PARTS

COLUMNS: Final = "id, upstream, state, first, last, opened, resolved, failed, seen, rescued, body"
LARGEST: Final = 65_536
"""Characters of a sample or a verdict."""
_INSERT: Final = (
    "INSERT INTO incident (id, upstream, cause, state, first, last, opened, resolved, until, failed, seen, rescued, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET cause = excluded.cause,"
    " state = excluded.state, first = excluded.first, last = excluded.last, opened = excluded.opened,"
    " resolved = excluded.resolved, until = excluded.until, failed = excluded.failed, seen = excluded.seen,"
    " rescued = excluded.rescued, body = excluded.body"
)
_SERIES: Final = {
    table: f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?) ON CONFLICT (incident, at) DO UPDATE SET"  # noqa: S608
    " failed = failed + excluded.failed, seen = seen + excluded.seen, rescued = rescued + excluded.rescued"
    for table in ("second", "minute")
}
_SHORT: Final = 2000


def pack(value: object) -> str:
    """Return a value as JSON that a database and a browser can read; what is too large or no JSON is replaced by a note."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    except (ValueError, RecursionError, TypeError):
        return '{"left_out":"not readable"}'
    if len(text) > LARGEST:
        return _shorter(value, len(text))
    return text.encode("utf-8", "replace").decode()


def _shorter(value: object, length: int) -> str:
    """Return the short members of a value that is too large, and the first and last attempt of a sample."""
    kept: dict[str, Any] = {}
    for name, member in list(value.items())[:50] if isinstance(value, dict) else ():
        if isinstance(member, str):
            kept[clean(name)] = clean(member, _SHORT)
        elif isinstance(member, (int, float, type(None))):
            kept[clean(name)] = member
        elif name == "attempts" and isinstance(member, list):
            ends = [member[0], member[-1]] if len(member) > 1 else member
            kept["attempts"] = [one for one in ends if len(json.dumps(one, default=str)) < LARGEST // 8]
    kept["left_out"] = f"{length} characters are too many"
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode() if len(text) <= LARGEST else '{"left_out":"too many characters"}'


def save(db: sqlite3.Connection, one: Incident) -> None:
    """Write what changed of an incident. Raises sqlite3.Error."""
    cause, _ = one.main()
    until = one.until() if one.resolved else 0.0
    times = (one.first, one.last, one.opened, one.resolved, until)
    db.execute(_INSERT, (one.id, one.upstream, cause, one.state, *times, one.failed, one.seen, one.rescued, _body(one)))
    pending = one.pending
    if pending.seconds or pending.minutes:
        for table, series in (("second", pending.seconds), ("minute", pending.all_minutes())):
            db.executemany(_SERIES[table], [(one.id, at, *counts) for at, counts in series.items()])
    if pending.samples:
        _save_samples(db, one)
    if pending.clients:
        db.execute("INSERT INTO client VALUES (?, ?)", (one.id, _packed(pending.clients)))


def _save_samples(db: sqlite3.Connection, one: Incident) -> None:
    rows = []
    for number, sample in one.pending.samples.items():
        rows.append((one.id, number, clean(sample.get("reference")), pack(sample)))
    db.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", rows)
    between = (one.id, FIRST_SAMPLES, one.samples - LATEST_SAMPLES)
    db.execute("DELETE FROM sample WHERE incident = ? AND number >= ? AND number < ?", between)


def _packed(clients: Iterable[str]) -> bytes:
    """Return hashes as eight bytes each. What is not hexadecimal counts too, by a hash of its own."""
    numbers = []
    for client in clients:
        try:
            numbers.append(int(client, 16) & 0xFFFF_FFFF_FFFF_FFFF)
        except ValueError:
            numbers.append(int.from_bytes(client.encode("utf-8", "replace")[:8], "big"))
    return struct.pack(f">{len(numbers)}Q", *numbers)


def _body(one: Incident) -> str:
    tallies = [
        [*key, tally.first, tally.last, tally.failed, tally.seen, tally.rescued, round(tally.weight, 6), tally.weighed]
        for key, tally in one.causes.items()
    ]
    level = one.level
    body = {
        "joined": one.joined, "gap": one.gap, "reopenings": one.reopenings, "reopened": one.reopened, "causes": tallies,
        "servers": one.servers, "routes": one.routes, "keys": sorted(one.keys), "clients": one.client_count(),
        "clients_more": one.clients_more, "samples": one.samples, "actions": one.actions, "acknowledged": one.acknowledged,
        "silenced_until": one.silenced_until, "figures": one.figures, "level": [level.seen, level.servers, level.cause, level.at],
    }  # fmt: skip
    return json.dumps(body, separators=(",", ":"))


def load(row: tuple[Any, ...], packed: Iterable[tuple[bytes]] = ()) -> Incident:
    """Return an incident from its COLUMNS and its clients. Raises ValueError, KeyError or TypeError where the row is damaged."""
    id, upstream, state, first, last, opened, resolved, failed, seen, rescued, text = row
    body = json.loads(text)
    one = Incident(id, upstream, first, last, state, opened, resolved, failed=failed, seen=seen, rescued=rescued)
    for name in ("joined", "gap", "reopenings", "reopened", "servers", "routes", "clients_more", "samples", "actions"):
        setattr(one, name, body[name])
    one.acknowledged, one.silenced_until = body["acknowledged"], body["silenced_until"]
    one.figures = body.get("figures", {})
    one.level = Level(*body["level"])
    one.keys = {(server, cause, phase) for server, cause, phase in body["keys"]}
    for cause, phase, *rest in body["causes"]:
        one.causes[cause, phase] = Tally(*rest)
    for (blob,) in packed:
        one.clients.update(f"{number:016x}" for (number,) in struct.iter_unpack(">Q", blob))
    if len(one.clients) < body["clients"]:  # they are told apart only while it may still be reopened
        one.clients, one.many_clients = set(), body["clients"]
    one.saved = failed
    return one


def remove(db: sqlite3.Connection, ids: list[str]) -> None:
    """Remove incidents with all that belongs to them. Raises sqlite3.Error."""
    for table in (*PARTS, "incident"):
        column = "id" if table == "incident" else "incident"
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(id,) for id in ids])  # noqa: S608
