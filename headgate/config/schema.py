"""What a configuration file may say: one model for each table, one docstring for each key. Durations are seconds once read.

The JSON Schema, the reference in docs/configuration.md and the error messages are all made from this file, and from those beside
it that hold the tables about resilience and the types of values.
"""

from functools import cached_property
from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .endpoints import Address, Endpoint, parse_listen, parse_server
from .incidents import Incidents
from .notify import Destination, Notify
from .notifyforms import WebUrl
from .resilience import Adaptive, Breaker, Ejection, HealthCheck, Queue, RateLimit, Retry, Sticky
from .slo import Slo
from .statuspage import PublicStatus, StatusPage
from .telemetry import Telemetry
from .values import (
    AdminListen,
    DashboardListen,
    ExactPath,
    FieldName,
    FieldValue,
    File,
    HashKey,
    HostPattern,
    Listen,
    Method,
    Network,
    PathPrefix,
    PathRegex,
    Resolver,
    Seconds,
    SentHost,
    ServerUrl,
    Size,
    Table,
)


class ListenTls(Table):
    """TLS towards clients."""

    certificate: File
    """File with the certificate and its chain (PEM)."""
    key: File
    """File with the private key (PEM)."""


class ClientTimeouts(Table):
    """How long the gateway waits for clients."""

    head: Seconds = 10.0
    """From the first byte of a request (or from the connection's opening) until its head is complete."""
    body: Seconds = 30.0
    """Longest silence within a request body."""
    read: Seconds = 60.0
    """Longest time in which a client takes no byte of its response."""
    idle: Seconds = 75.0
    """How long a kept connection may rest between requests."""


class Limits(Table):
    """Bounds on what clients and servers may send, and on how much runs at once."""

    request_line_bytes: Size = 8_192
    """Longest request line; 414 above."""
    request_header_bytes: Size = 32_768
    """Largest request head, all lines together; 431 above."""
    request_header_count: int = Field(100, ge=1)
    """Most header lines in a request; 431 above."""
    request_body_bytes: Size = 0
    """Largest request body; 413 above. 0: no limit."""
    response_header_bytes: Size = 65_536
    """Largest response head of a server; 502 above."""
    response_header_line_bytes: Size = 32_768
    """Longest header line of a server's response; 502 above."""
    response_header_count: int = Field(200, ge=1)
    """Most header lines in a server's response; 502 above."""
    response_body_bytes: Size = 0
    """Largest response body; 502 or a cut above. 0: no limit."""
    trailer_bytes: Size = 16_384
    """Largest trailer section, in either direction."""
    trailer_line_bytes: Size = 8_192
    """Longest trailer line, in either direction."""
    interim_responses: int = Field(20, ge=0)
    """Most interim (1xx) responses before a final one."""
    connections: int = Field(20_000, ge=1)
    """Most client connections at once, all workers together; new ones above get 503 and are closed."""
    requests: int = Field(0, ge=0)
    """Most requests under way at once, all workers together; 503 above. 0: no limit."""


class Log(Table):
    """Where records go."""

    access: File = "-"
    """Access log: a file, "-" for standard output, "off" for none."""
    format: Literal["json", "combined"] = "json"
    """Form of the access log."""
    errors: File = "stderr"
    """One line for each failed attempt: a file, or "stderr". Cannot be switched off."""


class Dns(Table):
    """How names of servers are resolved."""

    servers: tuple[Resolver, ...] = ()
    """DNS servers as "address" or "address:port"; those of /etc/resolv.conf when empty."""
    timeout: Seconds = 3.0
    """For one name, all servers and repetitions together."""
    min_ttl: Seconds = 1.0
    """Shortest time an answer is used, whatever its TTL."""
    max_ttl: Seconds = 300.0
    """Longest time an answer is used, whatever its TTL."""
    keep_stale: Seconds = 3600.0
    """How long the last good addresses are used when DNS fails."""
    hosts_file: File = "/etc/hosts"
    """Names that are known without DNS."""


class Pages(Table):
    """Own templates for error answers (Jinja2), instead of the built-in ones."""

    html: File | None = None
    """File with the HTML page for people."""
    text: File | None = None
    """File with the plain text."""


class Admin(Table):
    """Where `headgate status` and other programs ask the gateway, and tell it what to do."""

    listen: AdminListen = "auto"
    """"auto" (a unix socket that `headgate status` finds by itself), "unix:/path", "host:port", or "off"."""
    dashboard: DashboardListen = "auto"
    """Where browsers find the dashboard (and the API): "host:port", "off", or "auto": http://127.0.0.1:8600, or the next port
    up to 8699 that is free. Nowhere when `listen` is "off"."""
    dashboard_url: WebUrl | None = None
    """Address under which people reach the dashboard, for links in messages, and where something that speaks TLS stands before
    it; "http://" and where it listens when absent."""
    token: File | None = None
    """File with a secret that callers must show; required unless it listens on a unix socket or a loopback address."""


class Gateway(Table):
    """The gateway as a whole."""

    listen: tuple[Listen, ...] = Field(("127.0.0.1:8080",), min_length=1)
    """Addresses to listen on: "host:port", "[v6]:port", "unix:/path" (for local users whom its folder lets in). Port 0: any."""
    tls: ListenTls | None = None
    """TLS towards clients; plain HTTP when absent."""
    name: str = Field("headgate", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
    """Pseudonym in Via, CDN-Loop and Proxy-Status."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose Forwarded, X-Forwarded-* and X-Request-Id are believed."""
    details_for: tuple[Network, ...] = ()
    """Networks whose clients are told addresses, bytes and evidence in error answers; others get cause and reference."""
    timeouts: ClientTimeouts = ClientTimeouts()
    limits: Limits = Limits()
    log: Log = Log()
    dns: Dns = Dns()
    pages: Pages = Pages()
    timeout_status: Literal[504, 502] = 504
    """Status for timeouts of servers: 504 as RFC 9110 says, or 502 for callers who expect that."""
    drain: Seconds = 30.0
    """How long running exchanges may take to finish after SIGTERM."""
    workers: int = Field(0, ge=0, le=256)
    """Processes that move traffic. 0: one for each core that this process may use."""
    watch: bool = False
    """Reload when the configuration file changes; otherwise at SIGHUP and `headgate reload`."""
    secret: File | None = None
    """File with the secret (16 bytes or more) that signs sticky cookies; when absent, a new one is made at each start."""
    admin: Admin = Admin()
    status: PublicStatus = PublicStatus()
    slo: Slo = Slo()
    """For routes without a table of their own."""

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses to listen on, parsed."""
        return tuple(map(parse_listen, self.listen))


class Server(Table):
    """One server of an upstream."""

    url: ServerUrl
    """"http://host:port", "https://host:port" or "unix:/path/to.sock"."""
    weight: int = Field(1, ge=1, le=1000)
    """Share of the requests, against the other servers' weights."""
    down: bool = False
    """Takes no requests."""
    priority: int = Field(0, ge=0, le=9)
    """Servers with the lowest number serve; those with a higher one stand by until none of the lower ones is up."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """A server may be written as its URL alone."""
        return {"url": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of the two ways to write a server."""
        table = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string", "description": cls.model_fields["url"].description}, table]}

    @cached_property
    def endpoint(self) -> Endpoint:
        """The URL, parsed."""
        return parse_server(self.url)


class Timeouts(Table):
    """How long the gateway waits for a server. Each is finite."""

    connect: Seconds = 3.0
    """Until the connection is established, name resolution excluded."""
    tls: Seconds = 5.0
    """Until the TLS handshake is complete."""
    send: Seconds = 30.0
    """Longest time in which the server takes no byte of the request."""
    head: Seconds = 60.0
    """From the end of the request until the response head is complete."""
    idle: Seconds = 60.0
    """Longest silence within a response body."""
    tunnel: Seconds = 3600.0
    """Longest silence of both sides on an upgraded connection."""
    total: Seconds = 3600.0
    """For one exchange with all its attempts, body included."""


class KeepAlive(Table):
    """Idle connections to servers."""

    idle: Seconds = 55.0
    """Longest rest in the pool; shorter where the server is seen to close earlier, or says so in Keep-Alive."""
    connections: int = Field(256, ge=0)
    """Most idle connections to one server; 0 closes after each exchange."""


class UpstreamTls(Table):
    """TLS towards servers with an https URL."""

    verify: bool = True
    """Check the certificate's chain and name. Never switch it off for a public network."""
    ca: File | None = None
    """File with the authorities to trust (PEM); those of the system when absent."""
    certificate: File | None = None
    """File with the certificate that the gateway shows (PEM)."""
    key: File | None = None
    """File with its private key (PEM)."""
    name: str | None = None
    """Name for SNI and for checking the certificate; the URL's host when absent."""


class Upstream(Table):
    """A group of servers that answer alike."""

    servers: tuple[Server, ...] = Field(min_length=1)
    """The servers: URLs, or tables with url, weight and down."""
    policy: Literal["least-requests", "round-robin", "peak-ewma", "ring-hash", "maglev"] = "least-requests"
    """How a server is chosen: the less busy of two at random, in turn, the quicker of two, or by a hash of `hash_on`."""
    hash_on: HashKey | None = None
    """What ring-hash and maglev keep together: "client", "path", "header:NAME" or "cookie:NAME"."""
    sticky: Sticky | None = None
    """Keep each client with its server by a signed cookie; off when absent."""
    slow_start: Seconds | None = None
    """Time over which a server that came back is given its full share; at once when absent."""
    host: SentHost = "pass"
    """Host sent to the server: "pass" the client's, "server" the URL's, or any other value literally."""
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    keep_alive: KeepAlive = KeepAlive()
    tls: UpstreamTls = UpstreamTls()
    health: HealthCheck | None = None
    """Active checks; none when absent."""
    ejection: Ejection = Ejection()
    breaker: Breaker | None = None
    """Circuit breaker; none when absent."""
    queue: Queue | None = None
    """Where requests above the limits wait; when absent they get 503 at once."""
    adaptive: Adaptive | None = None
    """A limit on requests at once that is found by itself from latencies; none when absent."""
    max_requests: int = Field(0, ge=0)
    """Most requests at once for each server, all workers together; 503 above. 0: no limit."""
    max_connections: int = Field(0, ge=0)
    """Most connections to each server, idle ones included, all workers together; 503 above. 0: no limit."""
    max_total_requests: int = Field(0, ge=0)
    """Most requests at once for the upstream as a whole, all workers together; 503 above. 0: no limit."""
    deny_addresses: tuple[Network, ...] = ()
    """Networks that a server's name must never lead to (against DNS rebinding)."""
    check_content_coding: bool = False
    """Decode gzip and deflate bodies on the way through, to notice broken compression."""


class Route(Table):
    """Which requests go where. The most specific route wins, whatever the order in the file (see docs/configuration.md)."""

    name: str = ""
    """Name in logs and metrics; made of host and path when empty."""
    host: HostPattern = ""
    """"example.org", "*.example.org" (any depth below), or empty for every host."""
    path: PathPrefix = ""
    """Prefix of the path, by whole segments: "/api" fits /api and /api/x, not /apix. "/" is the same as none."""
    path_exact: ExactPath | None = None
    """The whole path."""
    path_regex: PathRegex | None = None
    """A regular expression that must fit the whole path."""
    methods: tuple[Method, ...] = ()
    """Methods that are accepted; all when empty. 405 for others, where nothing else fits."""
    headers: dict[FieldName, FieldValue] = Field({})
    """Header fields that must be there with this value ("*" for any value)."""
    upstream: str | None = None
    """The upstream that answers."""
    allow: tuple[Network, ...] = ()
    """Client networks that may use this route; all when empty. 403 for others."""
    deny: tuple[Network, ...] = ()
    """Client networks that may not."""
    retry: Retry | None = None
    """When another try is made for requests of this route; as the upstream says when absent."""
    max_requests: int = Field(0, ge=0)
    """Most requests of this route at once, all workers together; 503 above. 0: no limit."""
    rate_limit: RateLimit | None = None
    """How often each client may ask; 429 above. No limit when absent."""
    maintenance: bool = False
    """Answer 503 with a page that says so, without asking any server."""
    slo: Slo | None = None
    """What its users may expect; as `gateway.slo` when absent."""

    @property
    def label(self) -> str:
        """The name, or what stands for it: methods, host with path, header conditions."""
        path = self.path_exact or self.path_regex or self.path or "/"
        fields = [f"{name}={value}" for name, value in self.headers.items()]
        return self.name or " ".join(filter(None, ["|".join(self.methods), (self.host or "*") + path, *fields]))


class Config(Table):
    """A whole configuration file."""

    gateway: Gateway = Gateway()
    incidents: Incidents = Incidents()
    telemetry: Telemetry | None = None
    """OpenTelemetry; nothing is told when absent."""
    upstream: dict[str, Upstream] = Field({})
    route: tuple[Route, ...] = ()
    destination: dict[str, Destination] = Field({})
    notify: tuple[Notify, ...] = ()
    status_page: StatusPage | None = None
    """A public status page; none when absent."""
