"""The table about OpenTelemetry: what is told to a collector over OTLP, how much of it, and whose trace context is believed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from .findings import Bad
from .values import File, Seconds, Table

_USUAL: Final = "http://127.0.0.1:4318"
_SIGNALS: Final = "/v1/"
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_MANAGED: Final = frozenset({"content-type", "content-encoding", "content-length", "host", "transfer-encoding", "connection"})
_LARGEST_FILE: Final = 65_536


def collector_url(value: str) -> str:
    """Return the address of a collector: an http or https URL, to which /v1/traces and /v1/logs are added."""
    expected = f'the address of a collector, such as "{_USUAL}"'
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Bad(f'"{value}" is not a URL', expected) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable() or " " in value:
        hint = f'did you mean "http://{value}"?' if "://" not in value and value.isprintable() and value else ""
        raise Bad(f'"{value}" is not an http or https URL', expected, hint)
    if parts.username is not None or parts.password is not None:
        raise Bad("a user in the URL", expected, "write an Authorization line into the file that `headers` names")
    if parts.query or parts.fragment:
        raise Bad("a query or fragment in the URL", expected)
    if _SIGNALS in f"{parts.path}/":
        raise Bad(f'"{value}" names one kind of data', expected, "leave /v1/... out: it is added for traces and for logs")
    if port == 0:
        raise Bad("port 0", expected)
    return value.rstrip("/")


def service_name(value: str) -> str:
    """Return the name of a service."""
    if not 0 < len(value) <= 255 or not value.isprintable():
        raise Bad("not a name for a service", "1 to 255 printable characters")
    return value


CollectorUrl = Annotated[str, AfterValidator(collector_url)]
ServiceName = Annotated[str, AfterValidator(service_name)]


class Telemetry(Table):
    """Traces and logs for an OpenTelemetry collector (docs/telemetry.md). Nothing is told, and no request touched, without it."""

    endpoint: CollectorUrl | None = None
    """Where the collector listens for OTLP over HTTP; OTEL_EXPORTER_OTLP_ENDPOINT, or http://127.0.0.1:4318, when absent."""
    traces: bool = True
    """Tell of requests: a span for each, and one for each try at a server."""
    logs: bool = True
    """Tell of failures: a log record for each."""
    headers: File | None = None
    """File with header lines ("Authorization: Bearer ...") for the collector."""
    sample: float = Field(0.01, ge=0, le=1)
    """Share of requests that are traced where nobody who is believed has decided it: 0 to 1."""
    sample_failures: bool = True
    """Trace every request that failed, or was rescued by another try, whatever its luck."""
    trust: Literal["always", "trusted", "never"] = "trusted"
    """Whose traceparent decides about sampling: everybody's, that of `gateway.trusted_proxies` (of others only the trace's id is
    continued), or nobody's (each request begins a trace of its own)."""
    client_address: bool = False
    """Tell the collector the addresses of clients."""
    timeout: Seconds = 10.0
    """For one delivery, answer included."""
    ca: File | None = None
    """File with the authorities to trust for an https endpoint (PEM); those of the system when absent."""
    service: ServiceName | None = None
    """service.name; OTEL_SERVICE_NAME, or `gateway.name`, when absent."""
    resource: dict[str, str] = Field({})
    """Further attributes of the resource, such as deployment.environment; they come before those in OTEL_RESOURCE_ATTRIBUTES."""


class BadHeaders(ValueError):
    """A file with header lines cannot be used. The message says why."""


class Destination(NamedTuple):
    """Where telemetry goes and in whose name, with what the environment has to say."""

    endpoint: str
    headers: dict[str, str]
    service: str
    resource: dict[str, str]


def destination(telemetry: Telemetry, gateway: str, environment: Mapping[str, str]) -> Destination:
    """Return where telemetry goes. gateway: its name.

    What the configuration says comes before the environment (the variables OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES). Raises BadHeaders, OSError for a file that cannot
    be used, and Bad for an environment that makes no sense.
    """
    headers = _pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""), "OTEL_EXPORTER_OTLP_HEADERS")
    for name, value in headers.items():
        _check_line(name, value, "OTEL_EXPORTER_OTLP_HEADERS")
    if telemetry.headers is not None:
        headers = {**{name.lower(): value for name, value in headers.items()}, **read_headers(telemetry.headers)}
    resource = _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""), "OTEL_RESOURCE_ATTRIBUTES")
    resource |= telemetry.resource
    named = resource.pop("service.name", None)
    service = telemetry.service or environment.get("OTEL_SERVICE_NAME") or named or gateway
    endpoint = telemetry.endpoint or collector_url(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _USUAL)
    return Destination(endpoint, headers, service, resource)


def read_headers(file: str) -> dict[str, str]:
    """Return the header lines in a file, names in lower case; empty lines and those that begin with # are left out.

    Raises BadHeaders, OSError.
    """
    with Path(file).open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise BadHeaders(f"{file} is not ASCII") from None
    if len(raw) > _LARGEST_FILE:
        raise BadHeaders(f"{file} is larger than 64KiB")
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition(":")
            _check_line(name, value.strip(), f"{file}:{number}")
            found[name.lower()] = value.strip()
    return found


def _check_line(name: str, value: str, place: str) -> None:
    """Raise BadHeaders unless this can be a line of the head of a request to the collector. The value is never repeated."""
    if not _NAME.fullmatch(name) or not value or not value.isprintable() or not value.isascii():
        raise BadHeaders(f'{place}: not a header line such as "Authorization: Bearer SECRET"')
    if name.lower() in _MANAGED:
        raise BadHeaders(f"{place}: {name} is written by Headgate itself")


def _pairs(text: str, variable: str) -> dict[str, str]:
    """Return what "key=value,key=value" says, as OpenTelemetry's variables have it. Raises Bad."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise Bad(f"the variable {variable} is not a list of key=value")
        found[unquote(key.strip())] = unquote(value.strip())
    return found
