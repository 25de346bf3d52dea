"""What a scenario file may say: one upstream's script, the requests of the client, and what a right gateway answers.

Scenarios are data (`knowledge/scenarios/<name>.toml`); their verbs are a closed list. Times are seconds, sizes bytes.
"""

import tomllib
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Seconds = Annotated[float, Field(gt=0, le=20)]
Bytes = Annotated[int, Field(ge=1, le=64 << 20)]
Status = Annotated[int, Field(ge=0, le=599)]

CERTIFICATES = (
    "good", "expired", "not-yet-valid", "wrong-name", "self-signed", "unknown-authority", "wrong-purpose",
    "client-certificate", "client-certificate-tls12", "old-version", "unknown-name", "no-cipher",
)  # fmt: skip
"""Ways in which the `tls` verb answers a handshake; each is made by certificates.py."""

PLACES = (
    "tcp",
    "closed",
    "silent",
    "unix",
    "unix-missing",
    "unix-forbidden",
    "unix-full",
    "ports-exhausted",
    "first-closed",
    "gateway",
)
"""Where the gateway is told to find the server; each is set up by places.py."""


class BadScenario(ValueError):
    """A scenario file cannot be used. The message names file, key, what was expected, and a near word for a typo."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Step(_Table):
    """One thing the server does. Exactly one verb, and `steps` beside `repeat`."""

    read: Literal["head", "body", "all"] | Bytes | None = None
    """Read a request head, the body it announced, everything until the peer closes, or so many bytes."""
    write: str | None = None
    """Send this text (as latin-1)."""
    write_base64: str | None = None
    """Send these bytes."""
    write_hex: str | None = None
    """Send these bytes, written as pairs of hex digits."""
    write_bytes: Bytes | None = None
    """Send so many letters "x"."""
    answer: str | None = None
    """Send a complete and correct 200 response with this body."""
    say_continue: Literal[True] | None = None
    """Send 100 (Continue) where the request head expects it."""
    repeat: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Do `steps` so many times."""
    steps: tuple["Step", ...] = ()
    """What `repeat` repeats."""
    wait: Seconds | None = None
    """Do nothing for so long, then go on."""
    stall: Seconds | None = None
    """Do nothing for so long, neither reading nor writing, then close."""
    echo: Literal[True] | None = None
    """Send back whatever comes, until the peer closes."""
    close: Literal[True] | None = None
    """Close (FIN; the kernel makes it a RST where received bytes were left unread)."""
    half_close: Literal[True] | None = None
    """Close the sending direction only (FIN), and go on."""
    reset: Literal[True] | None = None
    """Abort the connection (RST)."""
    tls: Literal[CERTIFICATES] | None = None  # type: ignore[valid-type]
    """Do a TLS handshake, in this way; what follows is encrypted."""

    @property
    def verb(self) -> str:
        """The verb of this step."""
        return next(name for name in VERBS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_verb(self) -> "Step":
        verbs = [name for name in VERBS if getattr(self, name) is not None]
        if len(verbs) != 1:
            raise ValueError(f"a step has exactly one verb, this one has {' and '.join(verbs) or 'none'}")
        if bool(self.steps) != (self.repeat is not None):
            raise ValueError("repeat and steps belong together")
        return self


VERBS = tuple(name for name in Step.model_fields if name != "steps")
"""The closed list of verbs."""


class Dns(_Table):
    """What the lab's DNS server answers for the server's name."""

    answer: Literal["addresses", "nxdomain", "nodata", "servfail", "refused", "notimp", "garbage", "silence", "truncated"] = (
        "addresses"
    )
    """The kind of answer. "truncated": the UDP answer says TC, the TCP one has the addresses."""
    addresses: tuple[str, ...] = ("127.0.0.1",)
    """A and AAAA records."""
    cname: Annotated[int, Field(ge=0, le=8)] = 0
    """So many CNAMEs stand before the addresses."""
    ede: int | None = None
    """RFC 8914 info code beside the answer."""
    ede_text: str = ""


class Request(_Table):
    """One request of the client, and how the client behaves."""

    method: str = "GET"
    """The request method."""
    path: str = ""
    """Appended to "/NAME"."""
    target: str | None = None
    """The whole request target, instead of "/NAME" and path."""
    headers: tuple[str, ...] = ()
    """Further header lines, "Name: value"."""
    body: str | None = None
    """The body, with its Content-Length."""
    body_bytes: Annotated[int, Field(ge=0, le=64 << 20)] | None = None
    """A body of so many letters "b"."""
    chunked: bool = False
    """Send the body in chunks instead of with Content-Length."""
    raw: str | None = None
    """The request as it goes out (latin-1), instead of all the above; {path} stands for "/NAME", {token} for the mark."""
    wait: Seconds | None = None
    """Rest so long before this request."""
    new_connection: bool = False
    """Open another connection, the earlier one stays open."""
    pipelined: bool = False
    """Send it without waiting for the previous response."""
    stop_after: Bytes | None = None
    """Send only so many bytes of the request, then nothing more, and wait for an answer."""
    leave_after: Seconds | None = None
    """Close the connection so long after sending (or after stop_after)."""
    read_after: Seconds | None = None
    """Read nothing for so long after sending."""
    await_continue: bool = False
    """Send the body only after 100 (Continue), or after 300 ms without it."""
    tunnel: str | None = None
    """After 101: send this, and read what comes back until it has the same length."""
    background: bool = False
    """Go on with the next request at once; this one's response is read meanwhile."""
    filler: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """So many letters "f" at the end of the path."""
    filler_headers: Annotated[int, Field(ge=0, le=10_000)] = 0
    """So many header lines of 500 bytes."""
    crowd: Annotated[int, Field(ge=0, le=64)] = 0
    """Open so many idle connections to the gateway first."""


class During(_Table):
    """What happens to the gateway's process while the requests run (only where the lab started it)."""

    terminate: Seconds | None = None
    """SIGTERM so long after the first request was sent."""
    starve_descriptors: bool = False
    """It may open no more descriptors once the client is connected."""


class Overrides(_Table):
    """Extra keys for Headgate's configuration; the lab's usual ones are in gateways.py."""

    upstream: dict[str, Any] = {}
    route: dict[str, Any] = {}
    server: dict[str, Any] = {}
    gateway: dict[str, Any] = {}
    """For the gateway as a whole: such a scenario gets a gateway of its own."""


class Expect(_Table):
    """What is right."""

    status: Status | tuple[Status, ...]
    """What the client gets: one status, or one for each request. 0: no response at all, the connection ends."""
    also: tuple[Status, ...] = ()
    """Other statuses that are as right."""
    tolerated: tuple[Status, ...] = ()
    """Statuses that can be defended, though this one is safer: they differ, but nothing is broken. 0: no answer."""
    cause: str | tuple[str, ...] | None = None
    """Cause of the failed attempt; several: any of them is right."""
    cut: bool = False
    """The (last) response must break off visibly."""
    tries: Annotated[int, Field(ge=0, le=10)] | None = None
    """Attempts at servers for the last request."""
    executed: Annotated[int, Field(ge=0)] | None = None
    """Requests that reached the servers, for all the client's requests together."""
    body: str | None = None
    """The last response's body."""
    interim: tuple[Status, ...] = ()
    """Interim responses that the client must see before the last response, in this order."""
    closed: bool = False
    """The gateway must close the connection after the last response."""
    trailer: str | None = None
    """A trailer line that the client must see."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """Statuses in the order of the requests."""
        return self.status if isinstance(self.status, tuple) else (self.status,)

    @property
    def causes(self) -> tuple[str, ...]:
        """Causes that are right; empty where nothing fails."""
        return (self.cause,) if isinstance(self.cause, str) else self.cause or ()


class Scenario(_Table):
    """One scenario file."""

    name: str = ""  # the file's name; not written in the file
    title: str
    """What the server does, in one line."""
    why: str
    """Which fault of real life this imitates."""
    group: Literal[
        "healthy", "dns", "connect", "tls", "head", "not-http", "body", "reuse", "retry", "upgrade", "client", "gateway"
    ]
    """Which part of the table it belongs to."""
    scheme: Literal["http", "https"] = "http"
    """What the gateway is told to speak."""
    place: Literal[PLACES] = "tcp"  # type: ignore[valid-type]
    """Where the server is found: "tcp" (it listens), or one of the places where it is not."""
    address: str | None = None
    """A literal "host:port" instead of a place of the lab."""
    servers: Literal[1, 2] = 1
    """How many servers the upstream has; they share the script and its count of connections."""
    upstream: tuple[tuple[Step, ...], ...] = ()
    """What the server does on its first, second, ... connection; the last script serves all further ones."""
    dns: Dns | None = None
    """The gateway is given a name, which this answers."""
    request: tuple[Request, ...] = (Request(),)
    """What the client sends, in this order; a plain GET when absent."""
    during: During | None = None
    """What happens to the gateway's process meanwhile."""
    gateway: Overrides = Overrides()
    """Extra keys for Headgate's configuration: upstream, route, server or gateway."""
    expect: Expect
    """What is right."""
    needs: Literal["netns", "process"] | None = None
    """"netns": lab and gateway in a network namespace of their own; "process": the lab must have started the gateway."""
    peers: bool = True
    """False: other gateways have no such setting, or another one would be right for them; they are not scored."""

    @property
    def alone(self) -> bool:
        """It needs a gateway that serves nothing else."""
        terminated = self.during is not None and self.during.terminate is not None
        return bool(self.gateway.gateway) or terminated or self.place == "gateway"


_TABLES: dict[str, type[BaseModel]] = {
    "upstream": Step, "dns": Dns, "request": Request, "during": During, "gateway": Overrides, "expect": Expect,
}  # fmt: skip


def parse_scenario(name: str, text: str) -> Scenario:
    """Return the scenario written in `text`, the contents of `<name>.toml`. Raises BadScenario."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{name}.toml: not valid TOML: {error}") from None
    try:
        scenario = Scenario.model_validate(table | {"name": name})
    except ValidationError as error:
        raise BadScenario(f"{name}.toml: {_sentence(error)}") from None
    if len(scenario.expect.statuses) != len(scenario.request):
        wanted, given = len(scenario.request), len(scenario.expect.statuses)
        raise BadScenario(f"{name}.toml: expect.status: expected one status for each of the {wanted} requests, not {given}")
    if scenario.place in ("tcp", "unix") and scenario.address is None and not scenario.upstream:
        raise BadScenario(
            f"{name}.toml: upstream: expected a list of connections, each a list of steps, for place {scenario.place!r}"
        )
    return scenario


def _sentence(error: ValidationError) -> str:
    """Say the first error in one sentence: key, what was expected, and a near word."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a typo explains what is missing
    path = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "literal[", "constrained-", "tuple["))]
    key, model = ".".join(path) or "file", _TABLES.get(path[0], Scenario) if len(path) > 1 else Scenario
    if first["type"] == "extra_forbidden":
        known = [field for field in model.model_fields if field != "name"]
        near = get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        return f"{key}: no such key; {hint}"
    if first["type"] == "literal_error":
        near = get_close_matches(
            str(first["input"]), first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", "), n=1
        )
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{key}: {first['input']!r}, expected {first['ctx']['expected']}{hint}"
    if first["type"] == "missing":
        return f"{key}: this key is needed, and is not there"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{key}: {message}" if first["type"] == "value_error" else f"{key}: {first['input']!r}, expected {message}"


def load_scenarios(folder: Path | None = None) -> dict[str, Scenario]:
    """Return the scenarios of a folder by name, or the built-in ones. Raises BadScenario."""
    if folder is None:
        return dict(_built_in())
    found = sorted(folder.glob("*.toml"))
    if not found:
        raise BadScenario(f"{folder}: no scenario files (*.toml) in this folder")
    return {path.stem: parse_scenario(path.stem, path.read_text(encoding="utf-8")) for path in found}


@cache
def _built_in() -> dict[str, Scenario]:
    folder = files("headgate") / "knowledge" / "scenarios"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {name[:-5]: parse_scenario(name[:-5], (folder / name).read_text(encoding="utf-8")) for name in names}
