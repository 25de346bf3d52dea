"""Owns what a line proves of its failure: by the product's codes and sentences, by numbers in the line, by the status alone.

The order is that of trust. Only what the log itself states is "proved".
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ..diagnose.catalogue import catalogue
from ..diagnose.codes import Row, lookup, phrases
from ..diagnose.products import products
from .entry import Entry
from .fields import Fields, several

OWN: Final = "upstream-answered-error"
GONE: Final = "client-gone"
NOBODY: Final = "no-healthy-server"
_KIN: Final = {
    "ingress-nginx": ("ingress-nginx", "nginx"), "openresty": ("openresty", "nginx"), "istio": ("istio", "envoy"),
    "arr": ("arr", "iis", "ancm"), "iis": ("iis", "arr", "ancm", ""),
    "angie": ("angie", "nginx"), "tengine": ("tengine", "nginx"),
    "google": ("google", "google-cloud"), "google-cloud": ("google-cloud", "google"), "aws-elb": ("aws-elb", "aws-alb"),
}  # fmt: skip
"""Products in whose words a product speaks, itself first."""
_NGINX_LIKE: Final = ("nginx", "ingress-nginx", "openresty", "angie", "tengine", "freenginx", "kong", "apisix")
_PASSED: Final = frozenset(("via_upstream", "response_sent_by_backend", "response_from_cache"))
"""Words by which a product states that the answer is not its own."""
_IN_GO: Final = ("caddy", "traefik")
_GO: Final = 'Get "-": '
_VARNISH_OWN: Final = 503
"""What Varnish answers when a fetch fails; it then writes that as the server's status too."""
_TELL_NOTHING: Final = ("apache", "varnish", "squid")
"""Products whose usual access log does not tell whether they made an answer or passed it on."""
_LEFT: Final = (499, 460)
_BEFORE_CONNECTED: Final = ("resolve", "connect", "tls")
_AFTER_CONNECTED: Final = ("send", "head", "body")


class Finding(NamedTuple):
    """What was concluded."""

    causes: tuple[str, ...]
    confidence: str
    reason: str  # in the product's words
    made_by: str = ""
    status: int = 0  # what the client gets with it, where that is one


def explain(entry: Entry, fields: Fields, own: Mapping[str, str], counts: str, troubled: bool) -> None:
    """Set causes, confidence, reason and made_by of a failure or of an error log's line; of healthy requests nothing.

    own: lengths of the product's own pages by status. counts: "body" where the line's size is that of the body. troubled: a
    flag says that something went wrong, whatever the status.
    """
    if not (entry.failed or entry.error_log or troubled):
        return
    found = _stated(entry, fields)
    if found is None and (entry.error_log or not entry.failed):
        entry.reason = entry.reason or _words(fields)
        return
    if found is None:
        found = _by_numbers(entry, fields, own if counts == "body" else {})
    silent = found is None and not _words(fields)  # nothing but the status: it may be passed on
    found = found or _by_status(entry, fields)
    entry.causes, entry.confidence = found.causes if entry.error_log else _narrowed(found.causes, fields), found.confidence
    entry.reason = (found.reason if found.reason != str(entry.status) else "") or _words(fields) or found.reason
    if entry.error_log:
        entry.status = entry.status or found.status
        entry.reason = fields.get("message") or entry.reason
    entry.made_by = found.made_by or ("" if silent else _maker(entry, found.causes))


def _narrowed(causes: tuple[str, ...], fields: Fields) -> tuple[str, ...]:
    """Leave out causes of phases that HAProxy's timers rule out: -1 at Tc, never connected; at Tr, no answer's head."""
    if fields.get("upstream", "-") not in ("-", "", "<NOSRV>"):
        causes = tuple(code for code in causes if code != NOBODY) or causes  # a server was asked
    if "tc" not in fields or "tr" not in fields:
        return causes
    wrong: tuple[str, ...] = _BEFORE_CONNECTED if fields["tc"] != "-1" else _AFTER_CONNECTED
    if fields["tr"] == "-1":
        wrong += ("body",)
    known = catalogue()
    left = tuple(code for code in causes if code not in known or known[code].phase not in wrong)
    return left or causes


def _words(fields: Fields) -> str:
    """Return the product's own word for what happened, understood or not."""
    words = (fields.get(name, "") for name in ("reason", "code", "details", "flag"))
    return next((word for word in words if word.strip("-")), "")


def _flagged(fields: Fields) -> bool:
    flag = fields.get("flag", "-")
    return flag.strip("-") != "" and flag not in ("+",)


def _stated(entry: Entry, fields: Fields) -> Finding | None:
    """Return what the product's own codes and sentences say."""
    product = entry.product
    if product == "headgate" and (code := fields.get("code", "")) in catalogue():
        return Finding((code,), "proved", code, _upstream_if(code == OWN))
    for name in ("line", "message"):
        if (message := fields.get(name)) and (found := sentence(message, product)):
            return found
    if entry.status >= 500 and "passed" in fields:
        return Finding((OWN,), "proved", "err_code -", "upstream")
    if entry.status >= 500 and _PASSED.intersection((fields.get("code", ""), fields.get("details", ""))):
        return Finding((OWN,), "proved", fields.get("code") or fields["details"], "upstream")
    if product == "heroku" and entry.status >= 500 and not entry.error_log and not fields.get("code"):
        return Finding((OWN,), "proved", "at=info", "upstream")
    for words in _codes(fields, product):
        if found := _by_code(tuple(words), product):
            return found._replace(reason=fields["flag"]) if product == "haproxy" else found
    if fields.get("flag") == "-" and product in ("envoy", "istio") and entry.status >= 500:
        sure = fields.get("details") == "via_upstream"
        return Finding((OWN,), "proved" if sure else "likely", fields.get("details", "-"), "upstream")
    return None


def _codes(fields: Fields, product: str) -> Iterable[list[str]]:
    """Yield what may be looked up, most telling first: each list is tried as a whole, then its members."""
    for name in ("transport", "details"):
        text = fields.get(name, "").strip('"')
        if text and text not in ("-", "via_upstream"):
            head, _, inner = text.rstrip("}").partition("{")
            spoken = inner.replace("_", " ") if inner else text.replace("_", " ")
            yield [*[part.strip() for part in re.split(r"[,|]", spoken) if part.strip()][::-1], spoken]
            yield [head]
    if substatus := fields.get("substatus"):
        status, win32 = fields.get("status", ""), fields.get("win32", "0")
        yield [f"{status}.{substatus} {win32}"]
        if len(win32) == 5 and win32.startswith("12"):
            yield [win32]
        if substatus != "0":
            yield [f"{status}.{substatus}"]
    for name in ("code", "result", "flag"):
        text = fields.get(name, "")
        if text.strip("-"):
            if name == "flag" and product == "haproxy":
                yield [text[:2]]
            elif name == "flag" and product in ("envoy", "istio"):
                yield [part for part in text.split(",") if part not in ("URX", "-")] or text.split(",")
            else:
                yield list(dict.fromkeys([text, *re.split(r"[/,]", text)]))


@lru_cache(4096)
def _by_code(words: tuple[str, ...], product: str) -> Finding | None:
    for word in words:
        for kin in _KIN.get(product, (product,)):
            rows = [row for row in lookup(word, kin) if row.causes]
            if rows:
                return _of_row(rows[0], ",".join(words) if len(words) > 1 and word in words[:-1] else word)
        if " " in word and (found := sentence(word, product)):
            return found
    return None


@lru_cache(8192)
def sentence(message: str, product: str) -> Finding | None:
    """Return what a product's sentence stands for, None where no dictionary knows it."""
    best: tuple[int, Row, str] | None = None
    for kin in _KIN.get(product, (product,)):
        for found in phrases(message, kin) if kin else ():
            length = len(found.text) + (1000 if found.row.product else 0)
            if best is None or length > best[0]:
                best = (length, found.row, found.text)
        if best:
            break
    if best is None:
        # Go programs leave out the request that the dictionary's sentences begin with: only "EOF" is left
        return sentence(f"{_GO}{message}", product) if product in _IN_GO and not message.startswith(_GO) else None
    return _of_row(best[1], message[:200].removeprefix(_GO))


def _of_row(row: Row, words: str) -> Finding:
    single = len(row.causes) == 1
    confidence = "" if not row.causes else "proved" if row.proves and single else "likely" if single or row.proves else "possible"
    return Finding(row.causes, confidence, words, status=row.status[0] if len(row.status) == 1 else 0)


def _by_numbers(entry: Entry, fields: Fields, own: Mapping[str, str]) -> Finding | None:
    """Return what lengths, times and the server's own status tell."""
    if entry.status in _LEFT:
        own_word = entry.product in _NGINX_LIKE or entry.product == "aws-alb"
        return Finding((GONE,), "proved" if own_word else "likely", str(entry.status), "client")
    if entry.status == 0:
        return Finding((GONE,), "possible", "")
    if entry.product == "aws-alb":
        return _alb(entry)
    passing = entry.product == "headgate" or (entry.product == "varnish" and entry.status != _VARNISH_OWN)
    if passing and entry.upstream_status == entry.status and "message" not in fields:
        return Finding((OWN,), "proved", f"upstream_status {entry.status}", "upstream")
    if entry.product == "haproxy" and not _flagged(fields):
        return Finding((OWN,), "proved", fields.get("flag", ""), "upstream") if entry.upstream else None
    if entry.product in _NGINX_LIKE and (found := _nginx(entry, fields)):
        return found
    return _by_length(entry, own)


def _alb(entry: Entry) -> Finding:
    if entry.upstream_status:
        return Finding((OWN,), "proved", f"{entry.status} {entry.upstream_status}", "upstream")
    rows = [row for row in lookup(f"{entry.status} -", "aws-alb") or lookup(str(entry.status), "aws-alb") if row.causes]
    found = _of_row(rows[0], f"{entry.status} -") if rows else _made_with("aws-alb", entry.status)
    return found._replace(made_by="gateway", reason=f"{entry.status} -")


def _nginx(entry: Entry, fields: Fields) -> Finding | None:
    """Conclude from what nginx says of its upstream, where the format has it."""
    last = {
        name: several(fields[name])[-1] for name in ("upstream_length", "header_seconds", "connect_seconds") if fields.get(name)
    }
    if fields.get("upstream") == "-":
        return _made_with(entry.product, entry.status)._replace(reason="no upstream asked", made_by="gateway")
    if entry.upstream_status == entry.status and last.get("header_seconds", "-") != "-":
        return Finding((OWN,), "proved", f"upstream_status {entry.status} with a header time", "upstream")
    length = last.get("upstream_length", "-")
    if entry.upstream_status == entry.status and length.isdigit() and int(length) == entry.bytes > 0:
        return Finding((OWN,), "likely", f"upstream_status {entry.status}, {length} bytes passed on", "upstream")
    if "connect_seconds" in last and last.get("header_seconds") == "-":
        found = _made_with(entry.product, entry.status)
        connected = last["connect_seconds"] != "-"
        causes = tuple(code for code in found.causes if _after_connect(code) == connected) or found.causes
        return Finding(causes, "possible", f"connect {last['connect_seconds']}, header -", "gateway")
    return None


def _after_connect(code: str) -> bool:
    cause = catalogue().get(code)
    return cause is not None and cause.phase not in _BEFORE_CONNECTED


def _by_length(entry: Entry, own: Mapping[str, str]) -> Finding | None:
    """Compare the body's length with those of the product's own pages."""
    lengths = own.get(str(entry.status))
    if lengths is None or entry.bytes < 0 or entry.method == "HEAD":
        return None
    found = _made_with(entry.product, entry.status)
    if within(lengths, entry.bytes):
        return found._replace(reason=f"{entry.status} {entry.bytes}", made_by="gateway")
    causes = (OWN, *(code for code in found.causes if code != OWN))
    return Finding(causes, "possible", f"{entry.status} {entry.bytes}", "")


@lru_cache(256)
def _spans(lengths: str) -> tuple[tuple[int, int], ...]:
    parts = [part.partition("-") for part in lengths.replace(" ", "").split(",")]
    return tuple((int(low), int(high or low)) for low, _, high in parts)


def within(lengths: str, size: int) -> bool:
    """Return whether a size is one of "150,154-175"."""
    return any(low <= size <= high for low, high in _spans(lengths))


def _by_status(entry: Entry, fields: Fields) -> Finding:
    """Return what a status alone can stand for: what the product says with it, or where no column tells, the server itself."""
    found = _made_with(entry.product, entry.status)
    silent = entry.product in _TELL_NOTHING and not fields.get("code") and not fields.get("details")
    if not silent or entry.status < 500 or OWN in found.causes or not found.causes:
        return found
    return found._replace(causes=(*found.causes, OWN))


@lru_cache(1024)
def _made_with(product: str, status: int) -> Finding:
    """Return what a product means when it made an answer with this status itself."""
    for kin in _KIN.get(product, (product,)):
        known = products().get(kin)
        fitting = [one for one in known.answers if status in one.status and not one.where] if known else []
        causes = tuple(dict.fromkeys(code for one in fitting for code in one.causes))
        if causes:
            return Finding(causes, "possible", str(status))
        if known and known.answers and 500 <= status < 600:
            return Finding((OWN,), "likely", str(status), "upstream")  # it makes no such answers itself
    return Finding((), "", str(status) if status else "")


def _upstream_if(condition: bool) -> str:
    return "upstream" if condition else ""


def _maker(entry: Entry, causes: tuple[str, ...]) -> str:
    """Who made the failure's answer: a product that names what went wrong behind it made the answer itself."""
    if not causes or (entry.error_log and entry.status == 0 and not entry.method):
        return ""
    if causes[0] == OWN:
        return "upstream" if entry.confidence != "possible" else ""
    cause = catalogue().get(causes[0])
    if cause is not None and cause.fault == "client":
        return "client"
    return "gateway" if entry.confidence in ("proved", "likely") or OWN not in causes else ""
