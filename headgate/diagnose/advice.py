"""Owns what to do next: who can act on a verdict, the next three actions, and the one look that would split what is left open."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..model.cause import Cause
from ..model.diagnosis import Action, Recognised, Suspect
from .catalogue import bullets, catalogue
from .products import Product, products

MOST_ACTIONS: Final = 3
_FAULT_TO_WHO: Final = {
    "upstream": "operator", "network": "network", "dns": "operator", "tls": "operator", "configuration": "admin",
    "overload": "operator", "gateway": "admin", "client": "visitor",
}  # fmt: skip
_OWN: Final = {
    "proxy-on-the-way": "network",
    "no-network": "visitor",
    "tls-intercepted": "network",
    "platform-incident": "platform",
}
"""Causes whose fault's class does not say who can act."""


_PLAIN: Final = re.compile(r"[\w.:\[\]-]+", re.ASCII)
"""What may stand in a command that people paste into a shell."""
UNSIGNED: Final = (
    Action(
        "Read the gateway's log of this moment: whether it made this answer or passed it on", "headgate logs ACCESS.LOG ERROR.LOG"
    ),
    Action("Ask the program itself, around what stands before it", "headgate diagnose URL --origin ADDRESS", "operator"),
    Action("Read the program's own log of this moment, and try what it says", "journalctl -u SERVICE --since -5min", "operator"),
)
"""What to do about an error page that nobody signed."""
SPLIT_UNSIGNED: Final = (
    "The same request at the origin's own address (`--origin`): the same answer there means that the program made it."
)


_OURS: Final = re.compile(r"headgate|\[(?:upstream|gateway|route)[.\]]|\[\[route", re.IGNORECASE)


def lines_for(product: str, cause: Cause, heading: str) -> tuple[str, ...]:
    """Return a list of the catalogue's for another product's reader: without the lines that speak of Headgate's own settings."""
    lines = bullets(cause.sections.get(heading, ""))
    return lines if product in ("", "headgate") else tuple(line for line in lines if not _OURS.search(line))


def who_can_act(generator: Recognised | None, suspects: Sequence[Suspect]) -> tuple[str, ...]:
    """Return who can act, the one who most likely must first."""
    found = [_who(catalogue()[one.cause]) for one in suspects[:4]]
    product = _product(generator)
    if product is not None and not (suspects and suspects[0].confidence == "proved"):
        found.insert(0, product.who)
    return tuple(dict.fromkeys(found))


def _who(cause: Cause) -> str:
    return _OWN.get(cause.code) or _FAULT_TO_WHO[cause.fault]


def _product(generator: Recognised | None) -> Product | None:
    return products().get(generator.product) if generator else None


def actions_for(
    generator: Recognised | None,
    suspects: Sequence[Suspect],
    check: Sequence[str] = (),
    fix: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
) -> tuple[Action, ...]:
    """Return the next three actions: where the cause is not proved the log that names it, then checks, then a fix.

    check, fix: what a dictionary says of this code, before what the catalogue says of the cause.
    facts: address, host, name of this case, put where the texts say HOST:PORT, NAME.
    """
    found: list[Action] = []
    product = _product(generator)
    proved = bool(suspects) and suspects[0].confidence == "proved"
    if product is not None and product.logs and not proved:
        found.append(
            Action(f"Read {product.name}'s own words for this moment: they name the cause", product.logs[0], product.who)
        )
    found += [_action(line, "admin") for line in check[:2]]
    first = catalogue()[suspects[0].cause] if suspects else None
    if first is not None:
        name = generator.product if generator else "none"
        checks = lines_for(name, first, "What to check")
        fixes = lines_for(name, first, "How to fix")
        repairs = [_action(line, _who(first)) for line in (*fix, *fixes)]
        looks = [_action(line, _who(first)) for line in checks]
        room = MOST_ACTIONS - len(found)
        found += looks[: max(0, room - 1)] + repairs[:1] if room > 1 else repairs[:1]
    return tuple(filled(one, facts or {}) for one in found[:MOST_ACTIONS])


def _action(line: str, who: str) -> Action:
    """Return a line of prose as an action; what begins with a command in backticks is one."""
    command, _, rest = line.removeprefix("`").partition("`") if line.startswith("`") else ("", "", line)
    text = rest.lstrip(":, ").strip() or line.replace("`", "")
    return Action(text[:1].upper() + text[1:], command, who)


def filled(action: Action, facts: Mapping[str, str]) -> Action:
    """Return an action with this case's address and name in the places meant for them."""
    address, name = (
        value if _PLAIN.fullmatch(value) else "" for value in (facts.get("address", ""), facts.get("host", facts.get("name", "")))
    )
    text, command = action.text, action.command
    if address and ":" in address:
        host, _, port = address.rpartition(":")
        command = command.replace("HOST:PORT", address).replace("HOST", host.strip("[]"))
        command = command.replace(":PORT", f":{port}").replace("PORT", port)
    if name:
        command = command.replace("NAME", name).replace("HOST", name)
    return Action(text, command, action.who)


def split_for(generator: Recognised | None, suspects: Sequence[Suspect]) -> str:
    """Return the one look that would split what is left open, "" when nothing is."""
    if len(suspects) < 2 or suspects[0].confidence == "proved":
        return ""
    product = _product(generator)
    tell = next((one.tell for one in suspects if one.tell), "")
    if product is not None and product.logs:
        return f"{product.name}'s log at this moment: {product.logs[0]}" + (f"; {tell}" if tell else "")
    return tell
