"""Owns what one line of a log says once it is understood, whatever product wrote it."""


class Entry:
    """One line. Made for failures and for whatever may explain one; healthy requests are only counted (see `Tally`).

    Times are seconds since the epoch (UTC), durations seconds, sizes bytes; -1 and "" mean "not known".
    """

    __slots__ = (
        "bytes", "causes", "client", "cluster", "confidence", "error_log", "file", "host", "key", "line", "made_by", "method",
        "path", "product", "reason", "seconds", "status", "text", "time", "tries", "upstream", "upstream_seconds",
        "upstream_status",
    )  # fmt: skip

    def __init__(self, product: str, file: str, line: int) -> None:
        self.product = product  # id in knowledge/products
        self.file = file
        self.line = line  # number, from 1
        self.text = ""  # the line itself, at most 2,000 characters, not redacted: renderers redact
        self.error_log = False  # it comes from an error log: it explains a request, and is none of its own
        self.time = -1.0
        self.status = 0  # what the client got
        self.method = ""
        self.path = ""  # with query
        self.host = ""
        self.client = ""
        self.bytes = -1  # sent to the client, as the log counts it
        self.seconds = -1.0  # the whole request
        self.upstream = ""  # the server that was asked, "address:port" where known; the last one where several were
        self.cluster = ""  # its group: upstream, backend, service, target group
        self.upstream_status = 0  # what that server answered, 0: nothing
        self.upstream_seconds = -1.0
        self.tries = 0  # servers asked, where known
        self.key = ""  # request id, trace id, connection serial: joins lines
        self.made_by = ""  # who made the failure: "gateway", "upstream", "client", "" not known
        self.causes: tuple[str, ...] = ()  # codes of our catalogue that it may stand for, likeliest first
        self.confidence = ""  # "proved", "likely", "possible"
        self.reason = ""  # the product's own words or code: "UF", "sH", "connect() failed (111: Connection refused)"

    @property
    def failed(self) -> bool:
        """Whether it is a failed request: a 5xx, or one that a client gave up (499), or a cut answer."""
        return self.status >= 500 or self.status in (0, 460, 499)
