"""Everything at once, by chance: moody servers, impatient clients, reloads. Then nothing is left, and no POST came twice."""

import asyncio
import random
from collections import Counter

import pytest

MOODS = (
    "fine",
    "fine",
    "fine",
    "fine",
    "slow",
    "close",
    "reset",
    "half-head",
    "half-body",
    "half-chunk",
    "busy",
    "large",
    "garbage",
    "close-after",
)
SETTINGS = (
    ("policy", ("round-robin", "least-requests", "peak-ewma", "ring-hash", "maglev")),
    ("sticky", (None, {})),
    ("max_requests", (0, 3)),
    ("max_connections", (0, 4)),
    ("max_total_requests", (0, 8)),
    ("queue", (None, {"size": 6, "wait": "150ms"})),
    ("breaker", (None, {"requests": 10, "open": "50ms", "longest": "100ms", "probes": 2})),
    ("adaptive", (None, {"least": 2, "most": 10})),
    ("ejection", ({}, {"enabled": False}, {"base": "50ms", "longest": "100ms", "statuses": ["500-599"], "failures": 2})),
    ("slow_start", (None, "300ms")),
    ("check_content_coding", (False, True)),
    ("keep_alive", ({}, {"connections": 0}, {"connections": 2})),
)  # fmt: skip
RETRY = (
    ("attempts", (1, 2, 3, 5)),
    ("statuses", ((), ("503",))),
    ("per_try", (None, "120ms")),
    ("hold", (None, "200ms")),
    ("hedge_after", (None, "20ms")),
    ("budget", ({}, {"floor": 1000.0}, {"share": 0.0, "floor": 0.0})),
)


def chosen(dice, table):
    picked = {key: dice.choice(values) for key, values in table}
    return {key: value for key, value in picked.items() if value is not None}


def settings(dice):
    """Return settings that do not contradict each other."""
    found = chosen(dice, SETTINGS) | {"timeouts": {"head": "300ms", "idle": "300ms", "total": "2s", "connect": "1s"}}
    found["retry"] = chosen(dice, RETRY)
    if "per_try" in found["retry"]:
        found["timeouts"]["connect"] = found["timeouts"]["tls"] = "100ms"
    if "hedge_after" in found["retry"]:
        found.pop("sticky", None)
        found["retry"]["attempts"] = max(2, found["retry"]["attempts"])
    if found["policy"] in ("ring-hash", "maglev"):
        found["hash_on"] = dice.choice(("client", "path", "header:x-user", "cookie:user"))
    if not any(found.get(key) for key in ("max_requests", "max_connections", "max_total_requests", "adaptive")):
        found.pop("queue", None)
    return found


def server(dice, stage, seen):
    """Return a server whose mood changes with each request."""

    async def serve(reader, writer, number):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            if b"content-length:" in lower:
                await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
            seen[head.split(b" ")[0], head.split(b" ")[1]] += 1
            mood = dice.choice(MOODS)
            if mood == "close":
                return
            if mood == "reset":
                writer.transport.abort()
                return
            if mood == "slow":
                await asyncio.sleep(dice.random() * 0.3)
            answer = {
                "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
                "half-body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
                "half-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                "busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
                "large": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
                "garbage": b"\x00\x01 what\r\n\r\n",
            }.get(mood, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if head.startswith(b"HEAD"):
                answer = answer.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
            writer.write(answer)
            await writer.drain()
            if mood.startswith("half") or mood == "close-after":
                return

    return serve


async def client(dice, stage, number):
    """Ask a few times; leave early now and then."""
    for turn in range(dice.randint(1, 6)):
        connection = await stage.client()
        method = dice.choice(("GET", "GET", "GET", "POST", "PUT", "HEAD"))
        body = b"b" * dice.choice((0, 5, 70_000)) if method in ("POST", "PUT") else b""
        length = f"Content-Length: {len(body)}\r\n" if method in ("POST", "PUT") else ""
        head = f"{method} /{number}-{turn} HTTP/1.1\r\nHost: a\r\nX-User: {number}\r\nConnection: close\r\n{length}\r\n"
        connection.send(head.encode())
        if body:
            connection.send(body[:3])
            if dice.random() < 0.1:
                connection.close()
                continue
            await asyncio.sleep(dice.random() * 0.01)
            connection.send(body[3:])
        if dice.random() < 0.2:
            await asyncio.sleep(dice.random() * 0.1)
            connection.close()
        else:
            await connection.rest()


@pytest.mark.parametrize("seed", range(24))
def test_nothing_is_left_of_a_storm(play, seed):
    async def part(stage):
        dice = random.Random(seed)
        seen = Counter()
        urls = [await stage.server(server(dice, stage, seen)) for _ in range(3)]
        urls.append(stage.dead())

        def tables():
            picked = dice.sample(urls, dice.randint(1, len(urls)))
            return [{"url": url, "weight": dice.randint(1, 5), "priority": dice.choice((0, 0, 0, 1))} for url in picked]

        def door():
            return dice.choice(("", "max_requests = 12", 'rate_limit = { rate = "200/s" }', "retry = { attempts = 2 }"))

        await stage.gateway(*tables(), route=door(), gateway={"limits": {"requests": 30}}, **settings(dice))
        clients = [asyncio.create_task(client(dice, stage, number)) for number in range(40)]
        for _ in range(8):
            await asyncio.sleep(dice.random() * 0.1)
            stage.reload(*tables(), route=door(), gateway={"limits": {"requests": dice.choice((0, 30))}}, **settings(dice))
        await asyncio.gather(*clients)
        await stage.quiet()
        twice = {key: count for key, count in seen.items() if key[0] == b"POST" and count > 1}
        assert not twice
        assert sum(seen.values()) > 0

    play(part)
