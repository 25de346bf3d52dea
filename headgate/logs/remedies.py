"""Owns what to do about a root cause: first looks and first repairs, the product's own before the catalogue's."""

import re
from typing import Final

from ..diagnose.advice import filled, lines_for
from ..diagnose.catalogue import catalogue
from ..diagnose.meanings import Meaning
from ..diagnose.products import products
from ..model.diagnosis import Action

_ADDRESS: Final = re.compile(r"[\w.-]{1,253}:\d{1,5}|\[[0-9a-fA-F:.]{2,45}\]:\d{1,5}")
"""What may be put into a command for people to type: logs also hold names that clients sent."""
_CHECKS: Final = 2
_FIXES: Final = 2
_FAULT_TO_WHO: Final = {
    "upstream": "operator", "network": "network", "dns": "operator", "tls": "operator", "configuration": "admin",
    "overload": "operator", "gateway": "admin", "client": "admin",
}  # fmt: skip


def remedies(product: str, code: str, meaning: Meaning | None, address: str) -> tuple[Action, ...]:
    """Return at most five actions: the log that names the cause where none of its words was met, looks, repairs.

    product: whose log it is. code: the likeliest cause, or "". meaning: what the product's dictionary says of its word.
    address: "host:port" of the server, put where the texts say HOST:PORT; "" where there are several.
    """
    cause = catalogue().get(code)
    who = _FAULT_TO_WHO[cause.fault] if cause else "admin"
    known = products().get(product)
    found: list[Action] = []
    if meaning is None and known and known.logs and product != "headgate":
        found.append(Action(f"Read {known.name}'s own words for this moment, which name the cause.", known.logs[0], known.who))
    checks = [_own(line, "Look what this says") for line in meaning.check] if meaning else []
    fixes = [_own(line, "Run or set this") for line in meaning.fix] if meaning else []
    if cause:
        checks += [_prose(line, who) for line in lines_for(product or "none", cause, "What to check")]
        fixes += [_prose(line, who) for line in lines_for(product or "none", cause, "How to fix")]
    facts = {"address": address} if _ADDRESS.fullmatch(address) else {}
    return tuple(filled(one, facts) for one in (*found, *checks[:_CHECKS], *fixes[:_FIXES]))


def _own(line: str, plain: str) -> Action:
    """Return a dictionary's line, a command or a setting with a remark behind #, as an action. plain: its text without one."""
    command, _, remark = line.partition("   # ")
    if line[:1].isupper() and not remark:
        return Action(line, "", "admin")
    return Action(_sentence(remark) or plain, command.strip(), "admin")


def _prose(line: str, who: str) -> Action:
    """Return a line of the catalogue's as an action; what begins with a command in backticks is one."""
    if not line.startswith("`"):
        return Action(line, "", who)
    command, _, rest = line[1:].partition("`")
    return Action(_sentence(rest.lstrip(":, ")) or "Look what this says", command, who)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:]
