"""The evidence beside a signal: small, bounded, and only made when something failed."""

from typing import TypedDict


class Facts(TypedDict, total=False):
    """Evidence of one failure. Every key is optional; times are milliseconds, sizes bytes."""

    errno: int  # as the kernel gave it
    error: str  # its text, or an exception's
    rule: str  # the rule of the grammar that was broken, a closed list in wire/refusal.py
    offset: int  # where in the head or chunk stream the first offending byte stands
    excerpt: bytes  # up to 64 raw bytes around it; escape and redact when rendering
    looks_like: str  # another protocol that the first bytes resemble: ssh, tls, http2, smtp, redis, ...
    limit: str  # the setting that was reached, by its key in the configuration
    limit_value: float  # its value (bytes, seconds or a count, as the setting's unit)
    seen: int  # how much there was, or had been when we stopped counting
    header_name: str  # the field concerned
    status: int  # the status the server had answered, where a later phase failed
    sent: int  # request bytes handed to the kernel in this attempt
    received: int  # response bytes received in this attempt, head included
    body_received: int  # body bytes received
    body_expected: int  # body bytes announced by Content-Length
    untouched: bool  # True: not a single byte of the response had come
    reused: bool  # True: the connection had served before
    idle_ms: int  # how long the reused connection had rested in the pool
    age_ms: int  # age of the connection
    requests: int  # exchanges this connection had served before
    silent_ms: int  # time since the last byte came from the peer
    elapsed_ms: int  # time since the attempt began
    tcp_info: dict[str, int]  # the kernel's view: rtt_us, retransmits, lost, unacked, ...
    path: str  # of a unix socket or file
    name: str  # the DNS name asked for, or the TLS name expected
    resolver: str  # the DNS server that answered, or did not
    rcode: str  # DNS response code by name
    ede: int  # RFC 8914 extended DNS error info code
    ede_text: str
    addresses: list[str]  # the addresses tried, in order
    attempts_by_address: list[dict[str, object]]  # one entry an address tried: address, signal, errno, elapsed_ms
    verify_code: int  # X.509 verification error of OpenSSL
    verify_message: str
    certificate: dict[str, str]  # subject, issuer, not_before, not_after, names: as far as known
    tls_reason: str  # OpenSSL's reason name
    alert: int  # TLS alert number
    alert_name: str
    offered: str  # protocols the client offered in Upgrade
    accepted: str  # the protocol the server switched to
    coding: str  # the transfer or content coding concerned
    servers: list[dict[str, str]]  # the upstream's servers and why each could not be used
    allow: str  # methods allowed
    retry_after: float  # seconds after which it may be worth asking again
