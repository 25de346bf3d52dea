"""Owns what an autopsy advises: up to three things to do, with this server's real names and numbers in them."""

import grp
import os
import pwd
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ..diagnose.advice import MOST_ACTIONS, actions_for, filled
from ..diagnose.looks import Look
from ..diagnose.redact import clean
from ..model.diagnosis import Action, Suspect
from .autopsyplace import who
from .autopsyseen import Seen
from .machine import container_of

_UNIT: Final = re.compile(r"([A-Za-z0-9@_.:-]{1,100}\.service)$", re.MULTILINE)
_DNS_NAME: Final = re.compile(r"(?!\*)[A-Za-z0-9.-]{1,253}")
_TWO: Final = re.compile(r"And `([^`]+)`[:,] (.+)", re.DOTALL)
"""The rest of a line of the catalogue that has two commands."""
_ACROSS: Final = 1.5
"""How much longer than what was measured a limit should be."""
_AGAIN: Final = Action(
    "Nothing has to be done now; look whether it stays so, and what was changed when it failed", "headgate status"
)


def advice(seen: Seen) -> list[Action]:
    """Return what to do next: first what this machine and this server say, then what the catalogue says of the cause."""
    cause = seen.cause
    if cause is None:
        return [_AGAIN] if seen.healthy else []
    found = list(_OWN[cause.code](seen)) if cause.code in _OWN else []
    found += _killed(seen)
    suspects = (Suspect(cause.code, "proved"),)
    wrote = cause.code == "upstream-answered-error" and seen.diagnosis.generator is not None
    usual = seen.diagnosis.actions if wrote else actions_for(None, suspects, facts=_names(seen))
    found += [_known(seen, one) for one in usual if one.command or not found]
    return _different(found)[:MOST_ACTIONS]


def _different(actions: list[Action]) -> list[Action]:
    return list({(one.command or one.text): one for one in reversed(actions)}.values())[::-1]


def _names(seen: Seen) -> dict[str, str]:
    """Return address and name of this server, for commands."""
    attempt, endpoint = seen.attempt, seen.server.endpoint
    address = attempt.address if attempt is not None and not endpoint.path else ""
    return {"address": address, "host": seen.upstream.tls.name or endpoint.host}


def _known(seen: Seen, action: Action) -> Action:
    """Return an action with what else is known put where the catalogue leaves room for it."""
    action = filled(action, _names(seen))
    words = _words(seen)
    text, command = action.text, action.command
    if hit := _TWO.fullmatch(text):
        text, command = hit[2][:1].upper() + hit[2][1:], f"{command}; {hit[1]}"
    if path := seen.server.endpoint.path:
        command = command.replace("http://HOST:PORT", f"--unix-socket {_quoted(path)} http://localhost")
        words["PATH"] = "" if "--unix-socket" in command else words["PATH"]
    for word, value in words.items():
        if value is not None:
            form = re.compile(rf"\b{word}\b")
            text, command = form.sub(lambda _: value, text), form.sub(lambda _: value, command)  # noqa: B023 (used at once)
    text = text.replace("[upstream.NAME]", f"[upstream.{_upstream(seen)}]")
    return Action(text, command, action.who)


def _words(seen: Seen) -> dict[str, str | None]:
    """Return what is known of the words that the catalogue leaves open; None where it is not."""
    listener = seen.place.listener if seen.place is not None else None
    pid = listener.pid if listener is not None else 0
    resolver = str((seen.attempt.facts or {}).get("resolver", "")) if seen.attempt is not None else ""
    unit = _unit(pid) or None
    return {
        "PATH": _quoted(seen.server.endpoint.path) if seen.server.endpoint.path else (seen.way.path if seen.way else "/")[1:],
        "PID": str(pid) if pid else None,
        "UNIT": unit,
        "SERVICE": unit,
        "CONTAINER": (container_of(pid) or None) if pid else None,
        "GATEWAY-USER": _user(),
        "RESOLVER": resolver.rpartition(":")[0].strip("[]") if re.fullmatch(r"[0-9a-fA-F.:\[\]]+", resolver) else None,
    }


def _quoted(path: str) -> str:
    return shlex.quote(clean(path, 200))


def _unit(pid: int) -> str:
    """Return the systemd unit of a process, "" where none shows."""
    try:
        hit = _UNIT.search(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")) if pid else None
    except OSError:
        return ""
    return hit[1].rpartition("/")[2] if hit else ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _upstream(seen: Seen) -> str:
    """Return the upstream's name, as far as it was told."""
    return str(seen.failure.get("upstream", "")) or "NAME"


def _server(seen: Seen, url: str) -> str:
    """Return the line of the configuration that names another server in this one's place."""
    if len(seen.upstream.servers) > 4:
        return f'"{url}"'
    servers = ", ".join(f'"{url if one.url == seen.server.url else clean(one.url, 120)}"' for one in seen.upstream.servers)
    return f"servers = [{servers}]"


def _address(seen: Seen) -> str:
    attempt = seen.attempt
    return attempt.address if attempt is not None and attempt.address else seen.server.url


def _facts(seen: Seen) -> dict[str, Any]:
    return dict(seen.attempt.facts or {}) if seen.attempt is not None else {}


def _refused(seen: Seen) -> Iterator[Action]:
    place, scheme = seen.place, seen.server.endpoint.scheme
    if place is None:
        return
    for look in place.looks:
        if look.facts.get("topic") == "neighbour" and look.ok:
            address = str(look.facts["address"])
            text = f"If {look.facts['name']} on {address} is the server, write its port into [upstream.{_upstream(seen)}]"
            yield Action(text, _server(seen, f"{scheme}://{address}"), "admin")
            break
    if place.elsewhere is not None:
        text = f"Let {who(place.elsewhere)} listen on {_address(seen)}, or write {place.elsewhere.address} into the configuration"
        yield Action(text, _server(seen, f"{scheme}://{place.elsewhere.address}"), "operator")
    elif not seen.server.endpoint.path:
        port = seen.server.endpoint.port
        text = f"Start the program that should listen on {_address(seen)}, and read its log if it stops again"
        yield Action(text, f"ss -ltnp 'sport = :{port}'", "operator")
    else:
        path = seen.server.endpoint.path
        yield Action(
            f"Start the program that made {clean(path, 120)}: nobody listens there", f"ss -xlp | grep {_quoted(path)}", "operator"
        )


def _silent(seen: Seen) -> Iterator[Action]:
    place = seen.place
    if place is not None and place.full and place.listener is not None:
        text = f"Look what {who(place.listener)} is doing: its queue on {place.listener.address} is full"
        yield Action(text, f"top -H -p {place.listener.pid}" if place.listener.pid else "", "operator")


def _slow(seen: Seen) -> Iterator[Action]:
    """A limit that was passed, where the answer came after all."""
    attempt, way = seen.attempt, seen.way
    if attempt is None or way is None or way.answer is None or attempt.t_head < 0:
        return
    limit = str(_facts(seen).get("limit", ""))
    if not limit.startswith("timeouts."):
        return
    end = attempt.t_end if limit == "timeouts.total" else attempt.t_head
    needed = max(0.1, (end - attempt.t_start) * _ACROSS)
    key = limit.removeprefix("timeouts.")
    took = f"{end - attempt.t_start:.1f} s"
    text = f"Raise {limit} of [upstream.{_upstream(seen)}] if its answers take so long: this one was there after {took}"
    yield Action(text, f'timeouts = {{ {key} = "{needed:.1f}s" }}', "admin")


def _forbidden(seen: Seen) -> Iterator[Action]:
    path, user = seen.server.endpoint.path, _user()
    shown = clean(path, 120)
    try:
        info = os.stat(path)
    except OSError:
        folder = next((str(look.facts["folder"]) for look in _looks(seen, "socket") if "folder" in look.facts), "")
        if folder:
            yield Action(f"Let {user} pass the folder {folder}", f"chmod g+x {_quoted(folder)}", "admin")
        return
    group = _group(info.st_gid)
    if info.st_mode & 0o020:
        text = f"Let {user} into the group {group} of {shown} (mode {info.st_mode & 0o777:04o}), and restart the gateway"
        yield Action(text, f"usermod -aG {shlex.quote(group)} {shlex.quote(user)}", "admin")
    else:
        text = f"Let the program make {shown} writable for the group {group}: its mode is {info.st_mode & 0o777:04o}"
        yield Action(text, "SocketMode=0660", "operator")


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _looks(seen: Seen, topic: str) -> list[Look]:
    return [look for look in seen.here if look.facts.get("topic") == topic]


def _missing(seen: Seen) -> Iterator[Action]:
    for look in _looks(seen, "listening"):
        if instead := str(look.facts.get("instead", "")):
            yield Action(
                f"If {instead} is the server's socket, write it into [upstream.{_upstream(seen)}]",
                _server(seen, f"unix:{instead}"),
                "admin",
            )
            return


def _other_scheme(scheme: str, why: str) -> Callable[[Seen], Iterator[Action]]:
    def advise(seen: Seen) -> Iterator[Action]:
        rest = seen.server.url.partition("://")[2]
        if rest:
            yield Action(
                f"{why}: write {scheme}:// into [upstream.{_upstream(seen)}]", _server(seen, f"{scheme}://{rest}"), "admin"
            )

    return advise


def _certificate_name(seen: Seen) -> Iterator[Action]:
    shown = _facts(seen).get("certificate") or {}
    names = [name for name in str(shown.get("names", "")).split(", ") if _DNS_NAME.fullmatch(name)]
    if names:
        shown_names = ", ".join(names[:3])
        text = f"If the certificate of {_address(seen)} is the right one, tell the gateway its name: it is for {shown_names}"
        yield Action(text, f'tls = {{ name = "{names[0]}" }}', "admin")


def _certificate_ended(seen: Seen) -> Iterator[Action]:
    shown = _facts(seen).get("certificate") or {}
    ended = clean(str(shown.get("not_after", "")), 40)[:10]
    if ended:
        yield Action(
            f"Renew the certificate that {_address(seen)} shows: it ended {ended}; then let the server load it", "", "operator"
        )


def _killed(seen: Seen) -> Iterator[Action]:
    for look in _looks(seen, "kernel"):
        if look.ok is False and look.facts.get("how") == "memory":
            text = f"Give {look.facts['name']} more memory, or fewer workers: {look.text}"
            yield Action(text, "journalctl -k --since -1h -g 'Killed process'", "operator")
            return


_OWN: Final[dict[str, Callable[[Seen], Iterator[Action]]]] = {
    "connection-refused": _refused,
    "connection-timeout": _silent,
    "response-timeout": _slow,
    "response-total-timeout": _slow,
    "body-total-timeout": _slow,
    "head-stalled": _slow,
    "socket-forbidden": _forbidden,
    "socket-missing": _missing,
    "tls-plaintext-server": _other_scheme("http", "It speaks plain HTTP"),
    "not-http-tls": _other_scheme("https", "It speaks TLS"),
    "certificate-name-mismatch": _certificate_name,
    "certificate-expired": _certificate_ended,
}
"""What to do by cause, before what the catalogue says."""
