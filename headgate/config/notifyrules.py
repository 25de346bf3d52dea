"""The rules of the tables about telling people: what each kind of destination needs, the files that must be there, the names.

Each breach is an error. What a file of secrets holds is never repeated.
"""

import os
import shutil
import ssl
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from .endpoints import split_host
from .findings import Path, Remark
from .notify import Destination, Email, Notify
from .notifyforms import bad_url
from .wording import did_you_mean

if TYPE_CHECKING:
    from .schema import Config

_NEEDS: Final = {
    "slack": "url_file", "teams": "url_file", "discord": "url_file", "pagerduty": "key_file", "opsgenie": "key_file",
    "alertmanager": "url", "webhook": "url|url_file", "email": "email", "command": "command",
}  # fmt: skip
"""The key that each kind cannot do without; one of two with a bar between."""
_EVERYBODY: Final = ("kind", "timeout", "wait", "rate", "queue", "give_up")
_MAY: Final = {
    "slack": ("ca",), "teams": ("ca",), "discord": ("ca",), "pagerduty": ("url", "ca"), "opsgenie": ("url", "ca"),
    "alertmanager": ("key_file", "ca", "headers"), "webhook": ("key_file", "ca", "headers", "template", "content_type"),
    "email": (), "command": (),
}  # fmt: skip
"""Keys that it may have beside those, and beside what all have."""
_EXAMPLES: Final = {
    "url_file": 'write its address into a file, and url_file = "FILE"',
    "key_file": 'write its key into a file, and key_file = "FILE"',
    "url": 'write url = "http://alertmanager:9093"',
    "url|url_file": 'write url = "https://hooks.example.org/in", or url_file = "FILE"',
    "email": "write a table [destination.NAME.email] with server, from and to",
    "command": 'write command = ["/usr/local/bin/tell"]',
}
_HEADERS: Final = frozenset({"authorization", "content-length", "content-type", "cookie", "host", "transfer-encoding"})


def told_rightly(config: "Config") -> Iterator[Remark]:
    """Yield what is wrong in [destination.NAME] and [[notify]]."""
    for name, destination in config.destination.items():
        place: Path = ("destination", name)
        if len(name) > 64 or not all(letter.isalnum() or letter in "_.-" for letter in name) or not name.isascii():
            yield Remark(place, "not a name for a destination", "", "letters, digits, hyphens, dots and underscores")
        yield from _keys(place, destination)
        yield from _files(place, destination)
        yield from _headers(place, destination)
        if destination.email is not None:
            yield from _email((*place, "email"), destination.email)
        if destination.command:
            yield from _command((*place, "command"), destination.command[0])
    for number, rule in enumerate(config.notify):
        yield from _rule(config, ("notify", number), rule)
    yield from _names(config.notify)


def _keys(place: Path, destination: Destination) -> Iterator[Remark]:
    kind, given = destination.kind, destination.model_fields_set
    need = _NEEDS[kind]
    needs = need.split("|")
    there = [key for key in needs if key in given]
    if need == "url_file" and "url" in given:
        yield Remark((*place, "url"), "who knows it may write there, so it does not belong here", _EXAMPLES[need])
        return
    if not there:
        yield Remark((*place, needs[0]), f"missing, which {kind} needs", _EXAMPLES[need])
    if len(there) > 1:
        yield Remark((*place, there[1]), "url and url_file", "remove one", "one of them")
    own = {*_MAY[kind], *needs}
    for key in sorted(given - own - {*_EVERYBODY}):
        yield Remark((*place, key), f"not a key of {kind}", "", f"of keys of its own it has {', '.join(sorted(own))}")
    if "content_type" in given and destination.template is None:
        yield Remark((*place, "content_type"), "without a template the message is JSON", "remove it, or write a template")


def _files(place: Path, destination: Destination) -> Iterator[Remark]:
    for key in ("url_file", "key_file"):
        file = getattr(destination, key)
        if file is not None and (problem := _bad_secret(file, key == "url_file")):
            yield Remark((*place, key), f"{file} {problem}")
    yield from _authorities((*place, "ca"), destination.ca)
    if destination.template is not None and "template" in _MAY[destination.kind]:
        yield from _template((*place, "template"), destination.template)


def _bad_secret(file: str, is_url: bool) -> str:
    held, problem = _read(file)
    if problem or not held:
        return problem or "is empty"
    if any(not "!" <= letter <= "~" for letter in held):
        return "holds spaces, control characters or more than one line"
    return f"holds {problem}" if is_url and (problem := bad_url(held)) else ""


def _read(file: str) -> tuple[str, str]:
    """Return what a file holds, and why it cannot be read."""
    try:
        return FilePath(file).read_text(encoding="utf-8").strip(), ""
    except OSError as error:
        return "", f"cannot be read: {(error.strerror or str(error)).lower()}"
    except UnicodeDecodeError:
        return "", "is not UTF-8"


def _authorities(place: Path, file: str | None) -> Iterator[Remark]:
    if file is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        yield Remark(place, f"{file} holds no certificate", "", "certificates of authorities (PEM)")
    except OSError as error:
        yield Remark(place, f"{file} cannot be read: {(error.strerror or str(error)).lower()}")


def _template(place: Path, file: str) -> Iterator[Remark]:
    text, problem = _read(file)
    if problem:
        yield Remark(place, f"{file} {problem}")
        return
    try:
        SandboxedEnvironment(autoescape=True).parse(text)
    except TemplateSyntaxError as error:
        yield Remark(place, f"{file}:{error.lineno}: {error.message}", "", "a Jinja2 template")


def _headers(place: Path, destination: Destination) -> Iterator[Remark]:
    for name in destination.headers:
        if name in _HEADERS:
            hints = {"authorization": 'write the token into a file, and key_file = "FILE"', "content-type": "write content_type"}
            yield Remark((*place, "headers", name), f"{name} cannot be set here", hints.get(name, "remove it"))


def _email(place: Path, email: Email) -> Iterator[Remark]:
    if (email.user is None) != (email.password_file is None):
        have, lack = ("user", "password_file") if email.user is not None else ("password_file", "user")
        yield Remark((*place, have), f"{have} without {lack}", f"write {lack} beside it")
    if email.password_file is not None:
        held, problem = _read(email.password_file)
        if problem or not held:
            yield Remark((*place, "password_file"), f"{email.password_file} {problem or 'is empty'}")
    if email.user is not None and email.tls == "none" and not _near(split_host(email.server)[0]):
        yield Remark((*place, "tls"), "the password would cross the network in the open", 'write tls = "starttls" or tls = "tls"')
    yield from _authorities((*place, "ca"), email.ca)


def _near(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _command(place: Path, program: str) -> Iterator[Remark]:
    if shutil.which(program) is None:
        there = FilePath(program).exists()
        why = f"{program} is not a program that may be run" if there else f"there is no program {program}"
        yield Remark(place, why, "" if os.path.isabs(program) else "write its whole path", "")


# Which changes.


def _rule(config: "Config", place: Path, rule: Notify) -> Iterator[Remark]:
    if not config.destination:
        yield Remark(place, "there is nobody to tell", "write a table [destination.NAME] with its kind")
    for number, name in enumerate(rule.to):
        if config.destination and name not in config.destination:
            close = did_you_mean(get_close_matches(name, list(config.destination), 1))
            known = "" if close else f"one of {', '.join(config.destination)}"
            yield Remark((*place, "to", number), f'no destination is called "{name}"', close, known)
    servers = [server.url for upstream in config.upstream.values() for server in upstream.servers]
    routes = [route.label for route in config.route] or ["*/"]
    yield from _fitting((*place, "upstreams"), rule.upstreams, list(config.upstream), "upstream")
    yield from _fitting((*place, "servers"), rule.servers, servers, "server")
    yield from _fitting((*place, "routes"), rule.routes, routes, "route")
    yield from (_share(place, rule) if rule.share is not None else _no_share(place, rule))


def _fitting(place: Path, patterns: Sequence[str], names: Sequence[str], what: str) -> Iterator[Remark]:
    for number, pattern in enumerate(patterns):
        if names and not any(fnmatchcase(name, pattern) for name in names):
            close = did_you_mean(get_close_matches(pattern, names, 1))
            yield Remark(
                (*place, number), f'no {what} is called "{pattern}"', close, "" if close else f"one of {', '.join(names[:5])}"
            )


def _share(place: Path, rule: Notify) -> Iterator[Remark]:
    for key in sorted(rule.model_fields_set & {"on", "servers", "severity"}):
        yield Remark((*place, key), f"{key} is about incidents, and this rule is about a share of requests", "write two rules")
    if rule.causes and rule.statuses:
        yield Remark((*place, "statuses"), "causes and statuses in one rule", "write one rule for each", "one of them")


def _no_share(place: Path, rule: Notify) -> Iterator[Remark]:
    for key, field in (("for", "lasting"), ("window", "window"), ("requests", "requests"), ("statuses", "statuses")):
        if field in rule.model_fields_set:
            yield Remark((*place, "share"), f"missing, and {key} is about one", 'write share = "1%"')


def _names(rules: Iterable[Notify]) -> Iterator[Remark]:
    known: set[str] = set()
    for number, rule in enumerate(rules):
        if rule.name and rule.name in known:
            yield Remark(("notify", number, "name"), f'a rule is called "{rule.name}" already', "each has a name of its own")
        known.add(rule.name)
