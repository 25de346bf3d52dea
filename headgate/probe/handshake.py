"""Owns the look at one address's TLS: version, certificate and how long it holds, and what is shown without a name."""

import asyncio
import ssl
import time
from datetime import UTC, datetime
from typing import Any, Final

from ..diagnose.looks import Look
from ..diagnose.sentence import duration
from ..model.exchange import Attempt
from ..net.failing import Broken, fail
from ..net.peercertificate import describe
from ..net.streams import Link, connect, context, secure
from .address import said

_ALPN: Final = ("h2", "http/1.1")
_WITHOUT_NAME: Final = 1.5


async def tls_look(host: str, ip: str, port: int, seconds: float, begun: float, ca: str = "") -> Look:
    """Do a handshake with an address as a browser would, and close again. It never raises."""
    at = time.monotonic()
    attempt = Attempt("", f"https://{host}", at)
    address, family = (f"[{ip}]:{port}", "IPv6") if ":" in ip else (f"{ip}:{port}", "IPv4")
    facts: dict[str, Any] = {"address": address, "family": family}
    label = f"TLS {address}, name {host}"
    try:
        sock = await connect(attempt, (ip, port), seconds)
        link = await secure(attempt, sock, host, context(ca, alpn=_ALPN), max(0.1, seconds - (time.monotonic() - at)))
    except Broken as broken:
        fail(attempt, broken)
        shown = dict((attempt.facts or {}).get("certificate", {}))
        facts |= {"trusted": False, "certificate": shown} | _days(shown) if shown else {"trusted": False}
        text = said(attempt) + _reason(attempt, shown)
        return Look("tls", label, False, text, at - begun, time.monotonic() - at, attempt, facts=facts)
    facts |= _session(link)
    await link.close()
    attempt.t_end = time.monotonic()
    facts["without_sni"] = await _without_name(host, ip, port, facts["certificate"])
    took = duration((attempt.t_end - at) * 1000)
    days = f"certificate for {facts['days_left']:.0f} more days, " if "days_left" in facts else ""
    text = f"{facts['version']}, {facts['alpn'] or 'no ALPN'}, {days}in {took}"
    return Look("tls", label, True, text, at - begun, time.monotonic() - at, attempt, facts=facts)


def _session(link: Link) -> dict[str, Any]:
    """Return what a verified session shows."""
    tls = link.tls
    assert tls is not None
    shown = _described(tls.getpeercert(binary_form=True) or b"")
    cipher = tls.cipher()
    return {
        "version": tls.version() or "", "cipher": cipher[0] if cipher else "", "alpn": tls.selected_alpn_protocol() or "",
        "certificate": shown, "trusted": True,
    } | _days(shown)  # fmt: skip


def _described(der: bytes) -> dict[str, str]:
    """Return what a certificate says; empty where OpenSSL took one that the stricter reader does not."""
    try:
        return describe(der)
    except ValueError:
        return {}


def _days(shown: dict[str, str]) -> dict[str, float]:
    try:
        end = datetime.fromisoformat(shown["not_after"])
    except (KeyError, ValueError):
        return {}
    return {"days_left": round((end - datetime.now(UTC)).total_seconds() / 86_400, 1)}


def _reason(attempt: Attempt, shown: dict[str, str]) -> str:
    message = (attempt.facts or {}).get("verify_message", "")
    names = f"; it is for {shown['names']}" if shown.get("names") and "mismatch" in message.lower() else ""
    until = f"; it ended {shown['not_after'][:10]}" if shown and "expired" in message else ""
    return f" ({message}{names}{until})" if message else ""


async def _without_name(host: str, ip: str, port: int, shown: dict[str, str]) -> str:
    """Return what is shown to a client that names no host: "same", "other", "failed"."""
    attempt = Attempt("", host, time.monotonic())
    blind = context(verify=False)
    try:
        sock = await connect(attempt, (ip, port), _WITHOUT_NAME)
        async with asyncio.timeout(_WITHOUT_NAME):  # an address is never sent as a server name (RFC 6066 3)
            link = Link(*await asyncio.open_connection(sock=sock, ssl=blind, server_hostname=ip))
        tls = link.tls
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        await link.close()
    except (Broken, OSError, ssl.SSLError, TimeoutError, ValueError):
        return "failed"
    return "same" if der and _described(der) == shown else "other"
