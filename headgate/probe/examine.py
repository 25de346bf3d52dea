"""Owns the order in which a site is looked at: cheapest first, side by side where independent, within a time and a number."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..diagnose.looks import KINDS, Asked, Look
from ..model.exchange import Attempt
from ..model.methods import READING
from ..net.hosts import literal
from .address import has_ipv6, has_network, said, tcp_look
from .asking import Asking
from .guard import allowed
from .handshake import tls_look
from .names import resolve, server_look, system_look, zone_looks
from .proxies import proxy_look, settings
from .request import Connection, Sent
from .single import agent
from .url import BadUrl, Url, parse_url
from .vantage import vantage_look
from .variations import PAUSE, REPEATS_WHEN_FAILING, REPEATS_WHEN_WORKING, RESTS, plain, variations

_CONNECT: Final = 4.0
"""Seconds for one connection or handshake."""
_RESOLVE: Final = 4.0
_ADDRESSES: Final = 8
"""Most addresses of a name that are looked at."""
_ORDER: Final = {kind: number for number, kind in enumerate(KINDS)}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to look."""

    resolvers: tuple[str, ...] = ("1.1.1.1", "8.8.8.8", "9.9.9.9")  # public ones, beside this machine's
    zone: bool = True  # ask the zone's own servers too
    ca: str = ""  # file of further authorities to trust


async def examine(asked: Asked, tell: Callable[[Look], None] = lambda _look: None, how: Settings | None = None) -> list[Look]:
    """Look at a site, telling each look as it finishes; return all, in the order of KINDS and then of time. Raises BadUrl.

    It ends after `asked.seconds` with what there is, and sends at most `asked.requests` HTTP requests.
    """
    asking = Asking(asked, (how or Settings()).ca, tell)
    try:
        async with asyncio.timeout(asked.seconds):
            await _examine(asking, parse_url(asked.url), how or Settings())
    except TimeoutError:
        pass
    return in_order(asking.looks)


def in_order(looks: Sequence[Look]) -> list[Look]:
    """Return looks in the order of KINDS, and then of time."""
    return sorted(looks, key=lambda look: (_ORDER.get(look.kind, 99), look.at))


async def _examine(asking: Asking, url: Url, how: Settings) -> None:
    proxies = settings(os.environ)
    found = proxy_look(proxies, url, 0.0)
    if found is not None:
        asking.take(found)
    beside = [asyncio.create_task(_elsewhere(asking, url))]
    proxy = proxies.for_url(url)
    if proxy is not None:
        beside.append(asyncio.create_task(_through(asking, url, proxy)))
    try:
        await _directly(asking, url, how)
        await asyncio.gather(*beside)
    finally:
        for task in beside:
            task.cancel()  # whoever ends this early waits for no other view either


async def _elsewhere(asking: Asking, url: Url) -> None:
    """The view from another place, while the others run."""
    if asking.asked.vantage:
        asking.take(await vantage_look(asking.asked.vantage, url.text, max(1.0, asking.seconds - 0.5), asking.begun))


async def _through(asking: Asking, url: Url, proxy: Url) -> None:
    """The same through this machine's proxy."""
    await asking.vary(replace(plain(asking.asked, url, agent()), kind="via-proxy"), None, proxy)


async def _directly(asking: Asking, url: Url, how: Settings) -> None:
    addresses = await _names(asking, url, how)
    if not addresses:
        return
    reached = await _connect(asking, url, addresses)
    if reached is None:
        return
    secured, http2 = await _secure(asking, url, [ip for ip, _ in reached]) if url.scheme == "https" else (reached[0][0], False)
    if secured:
        await _ask(asking, url, secured, http2)


async def _names(asking: Asking, url: Url, how: Settings) -> list[str]:
    """Look the name up everywhere; return its addresses, this machine's own answer first."""
    if literal(url.host) is not None:
        return [url.host]
    seconds = min(_RESOLVE, asking.seconds / 2)
    jobs: list[Awaitable[list[Look]]] = [_list(system_look(url.host, url.port, seconds, asking.begun))]
    local = url.host == "localhost" or url.host.endswith(".localhost") or "." not in url.host
    if not local:
        jobs += [_list(server_look(url.host, one, seconds, asking.begun)) for one in how.resolvers]
    if how.zone and not local:
        jobs.append(zone_looks(url.host, seconds, asking.begun))
    addresses: dict[str, None] = {}
    for done in [asyncio.ensure_future(job) for job in jobs]:
        for look in await done:
            asking.take(look)
            addresses |= dict.fromkeys((*look.facts.get("a", ()), *look.facts.get("aaaa", ())))
    if not addresses and not local and not has_network():
        _no_network(asking)
    return list(addresses)[:_ADDRESSES]


def _no_network(asking: Asking) -> None:
    at = time.monotonic() - asking.begun
    asking.take(Look("tcp", "network", False, "this machine has no route to anywhere", at, facts={"no_network": True}))


async def _list(job: Awaitable[Look]) -> list[Look]:
    return [await job]


async def _connect(asking: Asking, url: Url, addresses: Sequence[str]) -> list[tuple[str, Look]] | None:
    """Connect to every address; return those that take connections, None where none does."""
    public = [ip for ip in addresses if allowed(ip, named=True)]
    seconds = min(_CONNECT, max(0.5, asking.seconds / 2))
    if not has_ipv6() and any(":" not in ip for ip in public) and any(":" in ip for ip in public):
        _say(asking, "IPv6", "this machine has no IPv6: those addresses are not looked at")
        public = [ip for ip in public if ":" not in ip]
    looks = await asyncio.gather(*(tcp_look(url.host, ip, url.port, seconds, asking.begun) for ip in public))
    for look in looks:
        asking.take(look)
    reached = [(ip, look) for ip, look in zip(public, looks, strict=True) if look.ok]
    if not reached and not has_network() and any(allowed(ip, named=False) for ip in public):
        _no_network(asking)
    return reached or None


async def _secure(asking: Asking, url: Url, addresses: Sequence[str]) -> tuple[str, bool]:
    """Do a TLS handshake with every address; return the first that succeeds ("" none) and whether HTTP/2 is offered."""
    seconds = min(_CONNECT, max(0.5, asking.seconds / 2))
    looks = await asyncio.gather(*(tls_look(url.host, ip, url.port, seconds, asking.begun, asking.ca) for ip in addresses))
    for look in looks:
        asking.take(look)
    good = [ip for ip, look in zip(addresses, looks, strict=True) if look.ok]
    return (good[0] if good else ""), any(look.facts.get("alpn") == "h2" for look in looks if look.ok)


async def _ask(asking: Asking, url: Url, ip: str, http2: bool) -> None:
    """The request itself, what it leads to, and its variations."""
    address = (ip, url.port)
    base = plain(asking.asked, url, agent())
    if not await _with_method(asking, url, address):
        return
    first = await asking.vary(base, address)
    if first is None:
        return
    await _origin(asking, url)
    if end := await asking.follow(first, base):
        fields = asking.asked.fields if end[0].host == url.host else ()  # what the user gave is for the host he named
        asking.asked = replace(asking.asked, url=end[0].text, fields=fields)
        url, address, first = *end, asking.looks[-1]
    works = bool(first.ok)
    cloudflare = first.captured is not None and first.captured.has("cf-ray")
    for what in variations(asking.asked, url, agent(), works, http2, cloudflare):
        if what.kind == "http2" and first.ok is False:
            await asking.vary(replace(what, kind="http1", http2=False, words="HTTP/1.1"), address)
        await asking.vary(what, address)
    await _repeat(asking, url, address, works)
    if works:  # where it fails anyway, timers of kept connections tell nothing
        await _keep(asking, url, address)


async def _with_method(asking: Asking, url: Url, address: tuple[str, int]) -> bool:
    """A method that changes things is sent only when the user allows it, once; return whether to go on with GET."""
    method = asking.asked.method
    if method.encode() in READING:
        return True
    if not asking.asked.replay:
        _say(asking, method, f"{method} is not sent: it might be carried out again (--replay sends it once). GET is sent instead")
        return True
    base = replace(plain(asking.asked, url, agent()), method=method)
    await asking.vary(base, address)
    return False


async def _origin(asking: Asking, url: Url) -> None:
    """The same at the origin's own address, with the site's Host and SNI."""
    text = asking.asked.origin
    if not text:
        return
    try:
        place = parse_url(text if "://" in text else f"{url.scheme}://{_bracketed(text)}")
    except BadUrl as error:
        _say(asking, "origin", str(error))
        return
    port = place.port if "://" in text or ":" in text.rpartition("]")[2] else url.port
    site = parse_url(f"{place.scheme}://{url.authority_for(place.scheme)}{url.target}")
    found = await resolve(place.host, port, max(0.3, min(_RESOLVE, asking.seconds / 2)))
    if isinstance(found, Attempt):
        _say(asking, "origin", f"{place.host} has no address: {said(found)}")
        return
    await asking.vary(replace(plain(asking.asked, site, agent()), kind="origin", words="around the gateway"), (found[0], port))


def _bracketed(text: str) -> str:
    found = literal(text)
    return f"[{found[1]}]" if found is not None and ":" in found[1] else text


async def _repeat(asking: Asking, url: Url, address: tuple[str, int], works: bool) -> None:
    for number in range(REPEATS_WHEN_WORKING if works else REPEATS_WHEN_FAILING):
        await asyncio.sleep(PAUSE)
        await asking.vary(replace(plain(asking.asked, url, agent()), kind="repeat", words=f"again ({number + 1})"), address)


async def _keep(asking: Asking, url: Url, address: tuple[str, int]) -> None:
    """Several requests on one connection: at once, and after a rest."""
    base = plain(asking.asked, url, agent())
    connection = Connection(Sent(url, base.method, base.fields, address=address, ca=asking.ca))
    try:
        for idle in (0.0, *RESTS):
            if asking.seconds < idle + 1 or not asking.may():
                return
            await asyncio.sleep(idle)
            look = await asking.kept(base, connection, idle)
            if look is None or not connection.open:
                return
    finally:
        await connection.close()


def _say(asking: Asking, label: str, text: str) -> None:
    facts: dict[str, Any] = {"topic": "probe"}
    asking.take(Look("here", label, None, text, time.monotonic() - asking.begun, facts=facts))
