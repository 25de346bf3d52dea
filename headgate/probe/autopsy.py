"""Owns how one server is examined when traffic to it fails: from the gateway's own place, in seconds, with one request."""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from ..config.schema import Server, Upstream
from ..diagnose.redact import clean
from ..model.phases import CONNECT
from ..model.signals import DEADLINE
from ..net.place import authority
from ..net.resolve import Resolver
from ..wire.limits import WireLimits
from .aside import aside
from .autopsyplace import Place, look_at_port, own, who
from .autopsysaid import told
from .autopsyseen import Seen
from .autopsysocket import look_at_socket
from .autopsyway import Way
from .machine import Listening, kernel
from .request import Sent, ask
from .url import Url

_LEAST: Final = 0.5
_MOST: Final = 60.0
_FOR_PLACE: Final = 0.25
"""Share of the time that is kept for this machine's own view, where the server runs here."""
_NEIGHBOUR: Final = 0.5
"""Seconds for a neighbouring port to answer."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BEAT: Final = 0.05
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_SERVER: Final = "server"


async def autopsy(
    server: Server,
    upstream: Upstream,
    failure: Mapping[str, Any] | None,
    resolver: Resolver,
    *,
    seconds: float = 5.0,
    last_success: float = 0.0,
    limits: WireLimits | None = None,
) -> dict[str, Any]:
    """Examine one server and return the verdict as plain data (JSON). It never raises, but for being cancelled.

    failure: what traffic saw: an attempt of a record, or any part of it ("cause", "phase", "sentence", "address"); "upstream"
    (the upstream's name) and "host" (what the client asked for) are used where they are there. resolver: the gateway's.
    seconds: for everything. last_success: wall-clock seconds of the server's last good answer, 0: not known.
    limits: those of the gateway's reader, the usual ones when None.

    At most 8 connections to the server and one more for a certificate that was refused, one GET, and two GETs to neighbouring
    ports of this machine; never another method. Returns "at" (wall-clock seconds), "took_ms", "server", "verdict" (a sentence),
    "cause" (code, "" for none), "title", "confidence" ("proved", "likely", "possible", "unknown"), "agrees" (with what traffic
    saw; None where there is nothing to compare), "evidence" [sentences], "actions" [{"who", "text", "command"}], "unseen" [what
    could not be looked at], "looks" [as Look.as_json] and "healthy" (it answers as it should).
    """
    begun, at = time.monotonic(), time.time()
    seen, trouble = Seen(server, upstream, _of_traffic(failure), last_success, at), ""
    try:
        await _examine(seen, resolver, begun, min(seconds, _MOST) if seconds > _LEAST else _LEAST, limits or WireLimits())
    except Exception as error:  # whatever is broken here, the incident must not suffer from it
        trouble = f"{type(error).__name__}: {error}"
    try:
        said = told(seen, trouble)
    except Exception as error:
        said = told(Seen(server, upstream, {}, 0.0, at), f"{type(error).__name__}: {error}")
    return {"at": round(at, 3), "took_ms": round((time.monotonic() - begun) * 1000, 1), **said}


_USED: Final = ("cause", "sentence", "address", "upstream", "host")
"""What of a failure is made use of."""


def _of_traffic(failure: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what of a failure is made use of, as far as it is text."""
    given = failure if isinstance(failure, Mapping) else {}
    found = {key: given[key] for key in _USED if isinstance(given.get(key), str)}
    if not _NAME.fullmatch(found.get("upstream", "")):
        found.pop("upstream", None)
    return found


async def _examine(seen: Seen, resolver: Resolver, begun: float, seconds: float, limits: WireLimits) -> None:
    """Fill `seen`, as far as the time allows."""
    end = begun + seconds
    way = Way(seen.server, seen.upstream, resolver, begun, _host(seen), str(seen.failure.get("address", "")), limits)
    seen.way, way.upstream = way, seen.failure.get("upstream", "")
    before = kernel().numbers
    beats = asyncio.create_task(_beat(seen))
    try:
        async with asyncio.timeout(seconds):
            if await way.find(begun + seconds * 0.8):
                here = bool(seen.server.endpoint.path) or any(map(own, way.addresses))
                await way.walk(end - (seconds * _FOR_PLACE if here else 0.1))
                if here:
                    await _look_here(seen, way, begun, end, before)
                elif not seen.healthy:
                    seen.unseen.append(f"who listens on {seen.name}, its queue, its processes and its log: it is another machine")
    except TimeoutError:
        seen.unseen.append("all that would have taken longer than the time for an autopsy")
    finally:
        beats.cancel()


async def _beat(seen: Seen) -> None:
    """Measure by how much this process itself is late: then the times that it takes say little of the server."""
    while True:
        at = time.monotonic()
        await asyncio.sleep(_BEAT)
        seen.lag = max(seen.lag, time.monotonic() - at - _BEAT)


def _host(seen: Seen) -> str:
    """Return what stands in Host: what the gateway would send, where that is known; "" for the server's own name."""
    wanted = seen.upstream.host
    if wanted == "pass":
        given = str(seen.failure.get("host", ""))
        return given if _HOST.fullmatch(given) else ""
    return authority(seen.server.endpoint).decode("ascii", "replace") if wanted == _SERVER else wanted


async def _look_here(seen: Seen, way: Way, begun: float, end: float, before: Mapping[str, int]) -> None:
    """Look at this machine, in a thread that may be left behind."""
    endpoint, failed = seen.server.endpoint, not seen.healthy
    if endpoint.path:
        seen.place = await aside(lambda: look_at_socket(begun, endpoint.path, failed))
        return
    ip = _examined(way)
    seen.place = place = await aside(lambda: look_at_port(begun, ip, endpoint.port, failed))
    now = kernel().numbers
    dropped = now.get("ListenDrops", 0) - before.get("ListenDrops", 0)
    if dropped > 0 and way.attempt is not None and way.attempt.phase == CONNECT and way.attempt.signal == DEADLINE:
        text = f"meanwhile this machine dropped {dropped} new connections of all its programs (ListenDrops)"
        place.say("kernel", "kernel", None, text)
    if place.neighbours:
        left = min(_NEIGHBOUR, end - time.monotonic() - 0.1)
        if left > 0.05:
            await asyncio.gather(*(_neighbour(place, one, left) for one in place.neighbours))


def _examined(way: Way) -> str:
    """Return the address that decided, without its port, else the first that is this machine's."""
    address = way.attempt.address.rpartition(":")[0].strip("[]") if way.attempt is not None else ""
    return address if address and own(address) else next(filter(own, way.addresses))


async def _neighbour(place: Place, one: Listening, seconds: float) -> None:
    """Ask a neighbouring port who it is, by one GET."""
    host, _, port = one.address.rpartition(":")
    bare = host.strip("[]")
    ip = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "*": "127.0.0.1"}.get(bare, bare)  # noqa: S104 (compared, not bound)
    url = Url("http", ip, int(port), "/")
    _, captured = await ask(
        Sent(url, fields=(("User-Agent", "Headgate-Autopsy"),), address=(ip, int(port)), connect=seconds), seconds
    )
    if captured is None or not captured.status:
        text = f"port {port} on the same host: {who(one)} listens, and does not answer as HTTP"
        place.say("neighbour", one.address, None, text)
        return
    name = re.split(r"[/ (]", clean(captured.header("server"), 60))[0] or who(one)
    text = f"port {port} on the same host answers as {name} (HTTP {captured.status}, {who(one)})"
    place.say("neighbour", one.address, True, text, address=f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}", name=name)


__all__ = ["autopsy"]
