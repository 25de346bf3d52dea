"""Owns how an incident is put into words, for every page, list, message and ticket: headline, counts, and who should do what.

An incident is plain data: what incidents/incident.py calls a summary, or all of it (`Store.incident`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ..diagnose.catalogue import bullets, catalogue, title_of
from ..diagnose.moments import span

READERS: Final = (("visitor", "Visitors"), ("operator", "The service's operators"), ("admin", "The gateway's administrators"))
"""Who reads what is to be done, and how they are called."""
_READER_OF: Final = {"visitor": "visitor", "operator": "operator", "platform": "operator", "network": "admin", "admin": "admin"}
"""For each of model.diagnosis.WHO, the reader who is told."""
_PROSE: Final = {"visitor": "Visitor", "operator": "Operator", "admin": "Administrator"}


class Step(NamedTuple):
    """Something to do."""

    text: str
    command: str
    source: str  # "autopsy": found for this very incident; "catalogue": true of every incident of its cause
    reader: str  # a reader's key


class Advice(NamedTuple):
    """What one reader is told."""

    reader: str
    name: str
    prose: str
    steps: tuple[Step, ...]
    prevent: tuple[str, ...]


def title(incident: Mapping[str, Any]) -> str:
    """Return what is wrong, without where: "The server refused the connection"."""
    return title_of(str(incident.get("cause", "")))


def where(incident: Mapping[str, Any]) -> str:
    """Return where it is wrong: "http://10.0.0.5:8000 of shop", "3 servers of shop", "upstream shop"."""
    upstream, server = str(incident.get("upstream", "")), str(incident.get("server", ""))
    count = int(incident.get("servers_count", 0) or 0)
    if server:
        return f"{server} of {upstream}" if upstream else server
    if count > 1:
        return f"{count:,} servers of {upstream}" if upstream else f"{count:,} servers"
    return f"upstream {upstream}" if upstream else "the gateway itself"


def headline(incident: Mapping[str, Any]) -> str:
    """Return an incident in one line: "The server refused the connection: http://10.0.0.5:8000 of shop"."""
    return f"{title(incident)}: {where(incident)}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 request", "1,204 requests"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clients(incident: Mapping[str, Any]) -> str:
    """Return how many clients were affected: "1 client", "10,000+ clients"; "" where none was counted."""
    count = int(incident.get("clients", 0))
    more = "+" if incident.get("clients_more") else ""
    return f"{count:,}{more} {'client' if count == 1 and not more else 'clients'}" if count else ""


def impact(incident: Mapping[str, Any]) -> str:
    """Return what users had of it, as a sentence without its full stop."""
    seen, rescued = int(incident.get("seen", 0)), int(incident.get("rescued", 0))
    who = clients(incident)
    said = f"users saw {counted(seen, 'request')} fail" if seen else "users saw nothing of it"
    said += f" ({who})" if who and seen else ""
    if rescued:
        said += f"; {counted(rescued, 'failure was', 'failures were')} made good by another try or the cache"
    return said[0].upper() + said[1:]


def lasting(incident: Mapping[str, Any], now: float = 0.0) -> str:
    """Return how long it lasted, or lasts (now: wall-clock seconds; 0: until its last failure)."""
    end = incident.get("last", 0.0) if incident.get("state") != "open" or not now else now
    return span(max(0.0, float(end) - float(incident.get("first", 0.0))))


def latest_verdict(incident: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the latest autopsy found, None where there was none. An autopsy while it failed goes before one afterwards."""
    found = [
        one["verdict"]
        for one in incident.get("verdicts", ())
        if isinstance(one, Mapping) and isinstance(one.get("verdict"), dict)
    ]
    telling = [one for one in found if one.get("cause") and not one.get("healthy")]
    return (telling or found)[-1] if found else None


def advice(incident: Mapping[str, Any]) -> list[Advice]:
    """Return what each reader is told: first what the autopsy found for this incident, then what is true of its cause."""
    cause = catalogue().get(str(incident.get("cause", "")))
    verdict = latest_verdict(incident) or {}
    found = [_found(one) for one in verdict.get("actions", ()) if isinstance(one, Mapping)]
    told = []
    for reader, name in READERS:
        steps = [step for step in found if step.reader == reader]
        prevent: tuple[str, ...] = ()
        if cause is not None and reader == _doer(cause.fault):
            lines = (*bullets(cause.sections["What to check"]), *bullets(cause.sections["How to fix"]))
            steps += [_known(named(line, incident), reader) for line in lines]
            prevent = tuple(named(line, incident) for line in bullets(cause.sections["How to prevent"]))
        prose = " ".join(cause.sections[_PROSE[reader]].split()) if cause is not None else ""
        told.append(Advice(reader, name, prose, tuple(_once(steps)), prevent))
    return told


def _doer(fault: str) -> str:
    return "operator" if fault in ("upstream", "tls", "overload") else "visitor" if fault == "client" else "admin"


def _found(action: Mapping[str, Any]) -> Step:
    reader = _READER_OF.get(str(action.get("who", "")), "admin")
    return Step(str(action.get("text", "")), str(action.get("command", "")), "autopsy", reader)


def _known(line: str, reader: str) -> Step:
    """Return a line of the catalogue as a step; what begins with a command in backticks has one."""
    command, _, rest = line.removeprefix("`").partition("`") if line.startswith("`") else ("", "", line)
    text = rest.lstrip(":, ").strip() or line
    return Step(text[:1].upper() + text[1:], command, "catalogue", reader)


def _once(steps: Iterable[Step]) -> Iterable[Step]:
    known: set[str] = set()
    for step in steps:
        keys = {key.casefold().strip(" .") for key in (step.text, step.command) if key}
        if not keys & known:
            yield step
        known |= keys


def named(line: str, incident: Mapping[str, Any]) -> str:
    """Return a line of the catalogue with this incident's names where it leaves room for them."""
    upstream, server = str(incident.get("upstream", "")), str(incident.get("server", ""))
    if upstream.replace("-", "").replace("_", "").replace(".", "").isalnum():
        line = line.replace("upstream.NAME", f"upstream.{upstream}")
    address = server.partition("://")[2].partition("/")[0]
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and all(part.isalnum() or part in ".-[]:" for part in host):
        line = line.replace("HOST:PORT", address).replace(":PORT", f":{port}")
    return line
