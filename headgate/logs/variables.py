"""Owns what the fields of each server's log language are called here: the variables that say something of a failure."""

from collections.abc import Mapping
from typing import Final

from .layout import SHAPES, Slot

_LIST: Final = SHAPES["list"]
_USER: Final = SHAPES["user"]
_ANY: Final = SHAPES["any"]
_ISO: Final = r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?"
_CLF: Final = r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?"

NGINX: Final[Mapping[str, Slot]] = {
    "remote_addr": Slot("client"), "realip_remote_addr": Slot(), "http_x_forwarded_for": Slot("", _ANY),
    "proxy_add_x_forwarded_for": Slot("", _ANY), "http_x_real_ip": Slot(), "proxy_protocol_addr": Slot(),
    "remote_user": Slot("user", _USER), "time_local": Slot("time", _CLF), "time_iso8601": Slot("time", _ISO),
    "msec": Slot("time", r"\d+\.\d+"), "request": Slot("request"), "request_method": Slot("method"),
    "request_uri": Slot("path"), "uri": Slot("path"), "document_uri": Slot("path"), "status": Slot("status"),
    "body_bytes_sent": Slot("bytes"), "bytes_sent": Slot("bytes"), "request_time": Slot("seconds"), "host": Slot("host"),
    "http_host": Slot("host"), "server_name": Slot("host"), "upstream_addr": Slot("upstream"),
    "upstream_status": Slot("upstream_status"), "upstream_response_time": Slot("upstream_seconds"),
    "upstream_header_time": Slot("header_seconds"), "upstream_connect_time": Slot("connect_seconds"),
    "upstream_response_length": Slot("upstream_length"), "upstream_bytes_received": Slot("", _LIST),
    "upstream_bytes_sent": Slot("", _LIST), "proxy_upstream_name": Slot("cluster"), "proxy_host": Slot("cluster"),
    "upstream_cache_status": Slot(), "request_id": Slot("key"), "req_id": Slot("key"), "http_x_request_id": Slot("key"),
    "connection": Slot("connection"), "http_user_agent": Slot("agent"), "http_referer": Slot(),
    "server_protocol": Slot("proto"), "request_completion": Slot(), "scheme": Slot(),
}  # fmt: skip
"""nginx variables that say something of a failure; all others are passed over."""

APACHE: Final[Mapping[str, Slot]] = {
    "h": Slot("client"), "a": Slot("client"), "l": Slot("", r"-|[A-Za-z][\w-]*+"), "u": Slot("user", _USER),
    "t": Slot("time", _CLF),
    "r": Slot("request"), "s": Slot("status"), "b": Slot("bytes"), "B": Slot("bytes"), "O": Slot("bytes"),
    "I": Slot("", r"\d+|-"), "S": Slot("", r"\d+|-"), "D": Slot("us"), "T": Slot("seconds"), "m": Slot("method"),
    "U": Slot("path"), "q": Slot("", r"\S*?"), "H": Slot("proto"), "v": Slot("host"), "V": Slot("host"), "L": Slot("key"),
    "X": Slot("flag", "[-+X]"), "p": Slot("", r"\d+|-"), "P": Slot("", r"\d+|-"), "k": Slot("", r"\d+|-"), "f": Slot("", _ANY),
    "R": Slot("", r"\S*+"), "A": Slot("", r"\S*+"), "n": Slot("", _ANY), "e": Slot("", _ANY), "i": Slot("", _ANY),
    "o": Slot("", _ANY), "C": Slot("", _ANY),
}  # fmt: skip
APACHE_NAMED: Final[Mapping[tuple[str, str], Slot]] = {
    ("i", "host"): Slot("host"), ("i", "user-agent"): Slot("agent"), ("i", "x-request-id"): Slot("key"),
    ("e", "unique_id"): Slot("key"), ("e", "balancer_worker_name"): Slot("upstream"),
    ("e", "balancer_worker_route"): Slot("cluster"), ("e", "balancer_name"): Slot("cluster"),
    ("n", "proxy-status"): Slot("upstream_status"), ("t", "ms"): Slot("ms"), ("t", "us"): Slot("us"),
    ("t", "s"): Slot("seconds"), ("c", "remote"): Slot("client"), ("c", ""): Slot("client"),
}  # fmt: skip

HAPROXY: Final[Mapping[str, Slot]] = {
    "ci": Slot("client", r"[^\s\[]+"), "cp": Slot("", r"\d+|-"), "tr": Slot("time", _CLF), "t": Slot("time", _CLF),
    "trg": Slot("time", _CLF), "trl": Slot("time", _CLF), "T": Slot("time", _CLF), "Tl": Slot("time", _CLF),
    "Ts": Slot("time", r"\d+"), "ts": Slot("flag", r"[-A-Za-z]{2}"), "f": Slot("", r"\S+"), "ft": Slot("", r"\S+"),
    "b": Slot("cluster", r"[^/\s]+"), "s": Slot("upstream", r"\S+"), "TR": Slot("", r"-?\d+"), "Tq": Slot("", r"-?\d+"),
    "Tw": Slot("tw", r"-?\d+"), "Tc": Slot("tc", r"-?\d+"), "Tr": Slot("tr", r"-?\d+"), "Ta": Slot("ms"), "Tt": Slot("ms"),
    "Tu": Slot("ms"), "Td": Slot("", r"-?\d+"), "Th": Slot("", r"-?\d+"), "Ti": Slot("", r"-?\d+"), "ST": Slot("status"),
    "B": Slot("bytes"), "U": Slot("", r"\+?\d+"), "CC": Slot(), "CS": Slot(), "tsc": Slot("flag", r"[-A-Za-z]{4}"),
    "ac": Slot("", r"\d+"), "fc": Slot("", r"\d+"), "bc": Slot("", r"\d+"), "sc": Slot("", r"\d+"),
    "rc": Slot("retries", r"\+?\d+"), "sq": Slot("", r"\d+"), "bq": Slot("", r"\d+"), "r": Slot("request"),
    "HM": Slot("method"), "HP": Slot("path"), "HU": Slot("path"), "HPO": Slot("path"), "HV": Slot("proto"), "HQ": Slot(),
    "ID": Slot("key"), "hr": Slot("", r"\{[^}\n]*\}"), "hs": Slot("", r"\{[^}\n]*\}"), "si": Slot("upstream"),
    "sp": Slot("", r"\d+|-"), "bi": Slot(), "bp": Slot("", r"\d+|-"), "sslc": Slot(), "sslv": Slot(),
}  # fmt: skip
OPTIONAL: Final = ("hr", "hs")
"""Fields that are absent, their blank included, where nothing was captured."""

ENVOY: Final[Mapping[str, Slot]] = {
    "START_TIME": Slot("time", r"[^\]\s\"]+"), "RESPONSE_CODE": Slot("status"), "RESPONSE_FLAGS": Slot("flag", r"[A-Za-z,]+|-"),
    "RESPONSE_FLAGS_LONG": Slot("flag"), "BYTES_SENT": Slot("bytes"), "BYTES_RECEIVED": Slot("", r"\d+|-"),
    "DURATION": Slot("ms"), "UPSTREAM_HOST": Slot("upstream"), "UPSTREAM_CLUSTER": Slot("cluster"),
    "RESPONSE_CODE_DETAILS": Slot("details"), "UPSTREAM_TRANSPORT_FAILURE_REASON": Slot("transport"), "PROTOCOL": Slot("proto"),
    "REQ(:METHOD)": Slot("method"), "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": Slot("path"), "REQ(:PATH)": Slot("path"),
    "REQ(:AUTHORITY)": Slot("host"), "REQ(X-REQUEST-ID)": Slot("key"), "REQ(USER-AGENT)": Slot("agent"),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": Slot("tries", r"\d+"),
    "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)": Slot("upstream_ms", r"\d+|-"), "DOWNSTREAM_REMOTE_ADDRESS": Slot("client"),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Slot("client"),
}  # fmt: skip

W3C: Final[Mapping[str, Slot]] = {
    "date": Slot("date", r"\d{4}-\d\d-\d\d"), "time": Slot("clock", r"\d\d:\d\d:\d\d"), "c-ip": Slot("client"),
    "cs-method": Slot("method"), "cs-uri-stem": Slot("path"), "cs-uri": Slot("path"), "sc-status": Slot("status"),
    "sc-substatus": Slot("substatus"), "sc-win32-status": Slot("win32"), "sc-bytes": Slot("bytes"), "cs-host": Slot("host"),
    "x-host-header": Slot("host"), "cs(host)": Slot("host"), "s-computername": Slot(), "x-edge-request-id": Slot("key"),
    "x-edge-detailed-result-type": Slot("code"), "x-edge-result-type": Slot("flag", r"\S+"),
    "x-edge-response-result-type": Slot("result"),
}  # fmt: skip
