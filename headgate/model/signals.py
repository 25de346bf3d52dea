"""The raw symptoms of a failure, as a closed list: what was seen, before anybody says why.

A signal is named where it is seen (the `except` that caught the errno, the parser that refused the byte) and travels with
`facts` (see `facts.py`) to `classify`, which turns (phase, signal, facts) into a Cause.
"""

from typing import Final

# Before a server was chosen (phase ADMIT).
NO_ROUTE: Final = "no-route"  # no route matches host and path
METHOD_NOT_ALLOWED: Final = "method-not-allowed"  # a route matches but for the method; facts: allow
DENIED: Final = "denied"  # the route's access rules exclude this client
LOOP: Final = "loop"  # our own name in Via or CDN-Loop
MAINTENANCE: Final = "maintenance"  # the route is switched off on purpose
NO_SERVER: Final = "no-server"  # no server of the upstream may be used; facts: servers
LIMIT: Final = "limit"  # a configured limit of connections or requests is reached; facts: limit, limit_value
CIRCUIT: Final = "circuit"  # the upstream's circuit is open; facts: error (why), retry_after
RATE: Final = "rate"  # the client comes more often than it may; facts: limit, limit_value, retry_after
OVERLOAD: Final = "overload"  # the gateway itself is at its limit; facts: limit, limit_value
STOPPING: Final = "stopping"  # the gateway is shutting down and its drain deadline passed

# The client's doing, in whatever phase the attempt was.
CLIENT_MALFORMED: Final = "client-malformed"  # illegal request; facts: rule, offset, excerpt
CLIENT_TOO_LARGE: Final = "client-too-large"  # facts: limit, limit_value, seen
CLIENT_UNSUPPORTED: Final = "client-unsupported"  # version, method or coding we do not speak; facts: rule
CLIENT_DEADLINE: Final = "client-deadline"  # head or body came too slowly; facts: rule ("head" | "body" | "read")
CLIENT_GONE: Final = "client-gone"  # the client closed before the response was complete

# Name resolution.
NXDOMAIN: Final = "nxdomain"
NODATA: Final = "nodata"  # the name exists, but has no A or AAAA
SERVFAIL: Final = "servfail"  # facts: rcode, ede (RFC 8914 info code), ede_text
DNS_REFUSED: Final = "dns-refused"
DNS_INVALID: Final = "dns-invalid"  # the answer could not be decoded, or another rcode; facts: rcode

# Connecting.
REFUSED: Final = "refused"  # ECONNREFUSED
UNREACHABLE: Final = "unreachable"  # ENETUNREACH, EHOSTUNREACH, ...; facts: errno
PROHIBITED: Final = "prohibited"  # EACCES, EPERM on a TCP connect: a local packet filter
ADDRESS_DENIED: Final = "address-denied"  # our own policy forbids this destination address
MISSING: Final = "missing"  # ENOENT: the unix socket does not exist; facts: path
FORBIDDEN: Final = "forbidden"  # EACCES on a unix socket; facts: path
BACKLOG: Final = "backlog"  # EAGAIN on a unix socket: its queue of new connections is full
NO_FILES: Final = "no-files"  # EMFILE, ENFILE: we are out of descriptors
NO_PORTS: Final = "no-ports"  # EADDRNOTAVAIL: we are out of local ports to this destination
NO_MEMORY: Final = "no-memory"  # ENOBUFS, ENOMEM
MISCONFIGURED: Final = "misconfigured"  # EINVAL, EAFNOSUPPORT: this address can never work as configured

# TLS towards the server.
CERTIFICATE: Final = "certificate"  # verification failed; facts: verify_code, verify_message, certificate
ALERT: Final = "alert"  # the server sent a TLS alert; facts: alert (number), alert_name
TLS_PROTOCOL: Final = "tls-protocol"  # anything else the TLS library refused; facts: tls_reason

# On an established connection, in any later phase.
EOF: Final = "eof"  # the server closed in order (FIN)
RESET: Final = "reset"  # ECONNRESET, EPIPE, ECONNABORTED, or a lost connection with an OS error; facts: errno
DEADLINE: Final = "deadline"  # this phase's time is up; facts: limit, limit_value, silent_ms
TOTAL_DEADLINE: Final = "total-deadline"  # the time for the whole exchange is up
MALFORMED: Final = "malformed"  # illegal bytes; facts: rule, offset, excerpt, looks_like
TOO_LARGE: Final = "too-large"  # facts: limit, limit_value, seen, header_name
ANSWERED: Final = "answered"  # the server's own answer says that it failed, and the next one is asked; facts: status
UPGRADE: Final = "upgrade"  # 101 that was not asked for, or to another protocol; facts: offered, accepted
CODING: Final = "coding"  # the content coding does not decode; facts: coding

UNEXPECTED: Final = "unexpected"  # an error in Headgate itself; facts: error

SIGNALS: Final = tuple(value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str))
"""Every signal, in the order above."""
