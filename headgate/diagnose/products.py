"""Owns what is known of each product that stands between a visitor and a program: `knowledge/products/<id>.toml`.

A file says what the product is, what betrays it (`mark`), what its own error answers mean (`answer`), and holds samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import rtoml

from .groups import BadKnowledge, expanded

KINDS: Final = {
    "server": "web server or reverse proxy",
    "balancer": "load balancer or service mesh",
    "gateway": "API gateway",
    "cache": "cache",
    "cdn": "content delivery network",
    "cloud": "cloud provider's front end",
    "platform": "application platform",
    "firewall": "web application firewall",
    "forward-proxy": "forward proxy, on the visitor's side",
    "application": "application server or framework",
    "site": "one site's own page",
    "client": "what a client program shows where no server answered",
}
"""Kinds of products, and what each is called."""
PLACES: Final = ("header", "cookie", "body", "reason", "length", "missing", "proxy-status")
"""Where a mark is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkRule:
    """What betrays a product. All that is said must hold."""

    where: str  # one of PLACES
    field: str = ""  # header, missing: the field's name; cookie: not used
    has: str = ""  # fixed text that must be there, in lower case (body: looked for before the pattern)
    match: str = ""  # pattern searched in the value, case-insensitive, dot matches newline; group "version" is kept
    lengths: tuple[int, ...] = ()  # length: sizes of the body in bytes
    status: tuple[int, ...] = ()  # only with these statuses
    weight: int = 1  # 1 weak to 5 explicit; below 0: speaks against its having written the answer
    wrote: bool = True  # True: proves authorship of this answer; False: only presence in the chain
    words: str = ""  # how it is said to people, where the match itself does not say it
    note: str = ""  # what else looks the same
    evidence: str = "S"
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What an error answer that the product itself made stands for. The first that fits counts."""

    status: tuple[int, ...]
    causes: tuple[str, ...]  # of our catalogue, likeliest first
    means: str  # what the product says with it
    where: str = ""  # "body", "reason", "header": narrower than the status alone
    field: str = ""
    match: str = ""
    example: str = ""  # a value that `match` fits; every row that is narrower than its status has one
    proves: bool = False  # the product states the cause itself
    tell: str = ""  # what would tell the causes apart
    evidence: str = "S"
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A response of the product, in `knowledge/samples/<product>/<file>`: head, blank line, body, as it came."""

    file: str
    origin: (
        str  # "capture": from the running product; "source": composed from its source or documentation; "report": seen by others
    )
    of: str  # product and version, or where it was seen
    wrote: bool = True  # False: the product only passed it on
    causes: tuple[str, ...] = ()  # what really happened, where that is known


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """One product."""

    id: str
    name: str
    kind: str  # one of KINDS
    about: str  # one line
    source: str
    marks: tuple[MarkRule, ...]
    answers: tuple[Answer, ...]
    samples: tuple[Sample, ...]
    family: str = ""  # another product whose page it shares
    aliases: tuple[str, ...] = ()
    rewrites_server: bool = False  # it writes `Server` on every answer, so that the field proves presence only
    logs: tuple[str, ...] = ()  # where its own words are found: commands, paths
    status_page: str = ""  # where its vendor tells of incidents
    notes: tuple[str, ...] = ()  # disguises, traps, version differences
    who: str = "admin"  # who can act on it: "admin", or "platform" where its user cannot


def folder() -> Traversable:
    """Return where the products are."""
    return files("headgate") / "knowledge" / "products"


def samples_folder() -> Traversable:
    """Return where the samples are."""
    return files("headgate") / "knowledge" / "samples"


def parse(name: str, text: str) -> Product:
    """Return the product written in `text`, the contents of `<name>.toml`. Raises BadKnowledge."""
    where = f"products/{name}.toml"
    try:
        table = rtoml.loads(text)
    except rtoml.TomlParsingError as error:
        raise BadKnowledge(f"{where}: {error}") from None
    made: dict[str, Any] = {}
    for key, value in table.items():
        if key in ("mark", "answer", "sample"):
            kind = {"mark": MarkRule, "answer": Answer, "sample": Sample}[key]
            made[key + "s"] = tuple(_record(kind, one, f"{where}, {key} {number}") for number, one in enumerate(value, 1))
        else:
            made[key] = tuple(value) if isinstance(value, list) else value
    for key in ("marks", "answers", "samples"):
        made.setdefault(key, ())
    product: Product = _record(Product, {"id": name} | made, where)
    if product.kind not in KINDS:
        raise BadKnowledge(f"{where}: kind = {product.kind!r}, expected one of {', '.join(KINDS)}")
    for rule in product.marks:
        if rule.where not in PLACES:
            raise BadKnowledge(f"{where}: where = {rule.where!r}, expected one of {', '.join(PLACES)}")
    return product


def _record(kind: type, table: dict[str, Any], where: str) -> Any:
    """Return a dataclass made of a table; lists become tuples, a single status a tuple of one. Raises BadKnowledge."""
    known = {one.name for one in fields(kind)}
    if unknown := table.keys() - known:
        raise BadKnowledge(f"{where}: unknown key {sorted(unknown)[0]!r}, expected some of {', '.join(sorted(known))}")
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    if isinstance(made.get("status"), int):
        made["status"] = (made["status"],)
    if "causes" in made:
        made["causes"] = expanded(made["causes"], where)
    try:
        return kind(**made)
    except TypeError as error:
        raise BadKnowledge(f"{where}: {error}") from None


@cache
def products() -> Mapping[str, Product]:
    """Return every product by its id. Raises BadKnowledge."""
    names = sorted(entry.name for entry in folder().iterdir() if entry.name.endswith(".toml"))
    return {name[:-5]: parse(name[:-5], (folder() / name).read_text(encoding="utf-8")) for name in names}


def sample_bytes(product: str, sample: Sample) -> bytes:
    """Return a sample's response as it came."""
    return (samples_folder() / product / sample.file).read_bytes()
