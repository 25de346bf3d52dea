"""Owns how one upstream server of a local gateway is asked from its own machine, by the protocol the gateway would speak."""

import time
from dataclasses import replace
from typing import Final

from ..diagnose.captured import Captured
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.phases import RESOLVE
from ..net.failing import Broken, fail
from ..net.streams import connect
from .address import said
from .asking import outcome
from .names import resolve
from .request import Sent
from .request import ask as request
from .single import agent
from .url import BadUrl, Url, parse_url

_NAMES: Final = {"fastcgi": "FastCGI", "uwsgi": "uwsgi", "scgi": "SCGI", "ajp": "AJP", "grpc": "gRPC"}


async def ask(server: str, host: str = "", seconds: float = 5.0) -> tuple[Attempt, Captured | None, str]:
    """Ask a server as it is configured ("http://h:p", "https://h:p", "unix:/path", "fastcgi://h:p"), and say what came of it.

    host: what stands in Host, where known. Of protocols other than HTTP only the connection is tried. It never raises.
    """
    scheme, _, rest = server.partition("://")
    begun = Attempt("", server, time.monotonic())
    try:
        if server.startswith("unix:"):
            fields = (*_fields(), ("Host", host or "localhost"))
            sent = Sent(Url("http", "localhost", 80, "/"), fields=fields, unix=server.removeprefix("unix:"))
        elif scheme in ("http", "https"):
            sent = Sent(parse_url(f"{scheme}://{rest}/"), fields=(*_fields(), *((("Host", host),) if host else ())))
        else:
            return await _only_connect(begun, scheme, rest, seconds)
    except BadUrl as error:
        fail(begun, Broken(RESOLVE, "misconfigured", {"name": rest, "error": str(error)}))
        return begun, None, str(error)
    attempt, captured = await request(sent, seconds)
    if attempt.signal != s.CERTIFICATE:
        return attempt, captured, outcome(attempt, captured)
    doubt = said(attempt)  # most gateways do not verify the certificates of their servers: what would they get?
    attempt, captured = await request(replace(sent, verify=False), seconds)
    return attempt, captured, f"{outcome(attempt, captured)}; its certificate is not trusted from here: {doubt}"


def _fields() -> tuple[tuple[str, str], ...]:
    return (("User-Agent", agent()), ("Accept", "*/*"))


async def _only_connect(attempt: Attempt, scheme: str, rest: str, seconds: float) -> tuple[Attempt, Captured | None, str]:
    place = parse_url(f"http://{rest}/")
    found = await resolve(place.host, place.port, seconds)
    if isinstance(found, Attempt):
        return found, None, said(found)
    try:
        sock = await connect(attempt, (found[0], place.port), seconds)
    except Broken as broken:
        fail(attempt, broken)
        return attempt, None, said(attempt)
    sock.close()
    attempt.t_end = time.monotonic()
    return attempt, None, f"takes connections ({_NAMES.get(scheme, scheme)} itself is not asked)"
