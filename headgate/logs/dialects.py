"""Owns the languages in which servers write down what their access log looks like: nginx, Apache, HAProxy, Envoy, W3C."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from .layout import QUOTED, BadLayout, Part, Slot
from .variables import APACHE, APACHE_NAMED, ENVOY, HAPROXY, NGINX, OPTIONAL, W3C


def nginx(text: str) -> list[Part]:
    """Return the parts of an nginx `log_format` string (ngx_http_log_module). Raises BadLayout."""
    found = re.sub(r"'\s*\n\s*'", "", text)
    return _split(found, re.compile(r"\$(?:\{(\w+)\}|(\w+))"), lambda hit: NGINX.get(hit[1] or hit[2], Slot()), "$")


def apache(text: str) -> list[Part]:
    """Return the parts of an Apache `LogFormat` string (mod_log_config). Raises BadLayout."""
    text = text.replace('\\"', '"').replace("\\t", "\t")
    parts = _split(text, re.compile(r"%%|%[!,\d]*[<>]?[!,\d]*(?:\{([^}\n]*)\})?(\^?[a-zA-Z]+?)"), _apache_slot, "%")
    return _in_brackets(parts)


def _apache_slot(hit: re.Match[str]) -> Slot | bytes:
    if hit[0] == "%%":
        return b"%"
    argument, letter = hit[1], hit[2]
    if argument is None:
        return APACHE.get(letter, Slot())
    if letter == "t" and argument not in ("ms", "us", "s"):
        return _clock_slot(argument)
    if letter in "aT":
        letter = {"a": "c", "T": "t"}[letter]
    return APACHE_NAMED.get((letter, argument.lower()), Slot())


def _clock_slot(argument: str) -> Slot:
    """Return the field for a `%{strftime}t`: only whole times can be read, not their parts."""
    argument = argument.removeprefix("begin:").removeprefix("end:")
    if argument in ("sec", "msec", "usec"):
        return Slot("time", r"\d+")
    shapes = {"Y": r"\d{4}", "b": r"\w{3}", "a": r"\w{3}", "z": r"[+-]\d{4}", "T": r"\d\d:\d\d:\d\d", "F": r"\d{4}-\d\d-\d\d"}
    made = re.sub(r"%(.)|([^%]+)", lambda hit: shapes.get(hit[1], r"\d+") if hit[1] else re.escape(hit[2]), argument)
    whole = {"%Y", "%T"} <= set(re.findall("%.", argument)) or "%F" in argument or "%S" in argument
    return Slot("time" if whole else "", made)


def _in_brackets(parts: list[Part]) -> list[Part]:
    """Apache writes the brackets of a plain `%t` itself."""
    made: list[Part] = []
    for part in parts:
        if isinstance(part, Slot) and part == APACHE["t"]:
            made += [b"[", part, b"]"]
        else:
            made.append(part)
    return made


def haproxy(text: str) -> list[Part]:
    """Return the parts of a HAProxy `log-format` string (its configuration manual, 8.2.6). Raises BadLayout."""
    text = text.replace("\\ ", " ").replace('\\"', '"')
    parts = _split(
        text,
        re.compile(r"%%|%(?:\{([^}\n]*)\})?(?:\[([^\n\]]*(?:\[[^\]]*\])?[^\n\]]*)\]|([a-zA-Z]+)|(?=\s|$)o?)"),
        _haproxy_slot,
        "%",
    )
    return _optional_blank([part for part in parts if part != b""])


def _haproxy_slot(hit: re.Match[str]) -> Slot | bytes:
    if hit[0] == "%%":
        return b"%"
    flags, expression, name = hit[1] or "", hit[2], hit[3]
    if name == "o" or (not name and not expression):
        return b""
    if expression:
        slot = Slot("key") if "unique-id" in expression else Slot("", QUOTED if "+Q" in flags else "")
    else:
        slot = HAPROXY.get(name or "", Slot())
        if name in OPTIONAL:
            return Slot("", "(?:" + slot.shape + " )?")
    return Slot(slot.field, "QUOTE" + slot.shape) if "+Q" in flags else slot


def _optional_blank(parts: list[Part]) -> list[Part]:
    """Put the quotes of `{+Q}` around fields, and let the blank after an optional field belong to it."""
    made: list[Part] = []
    optional = "(?:" + HAPROXY["hr"].shape + " )?"
    for part in parts:
        if isinstance(part, Slot) and part.shape.startswith("QUOTE"):
            made += [b'"', Slot(part.field, part.shape[len("QUOTE") :]), b'"']
        elif isinstance(part, bytes) and made and isinstance(made[-1], Slot) and made[-1].shape == optional:
            made.append(part.removeprefix(b" "))
        else:
            made.append(part)
    return [part for part in made if part != b""]


def envoy(text: str) -> list[Part]:
    """Return the parts of an Envoy format string (its access log documentation). Raises BadLayout."""
    return _split(text.removesuffix("\n"), re.compile(r"%([A-Z0-9_]+(?:\([^)%\n]*\))?)(?::\d+)?%"), _envoy_slot, "%")


def _envoy_slot(hit: re.Match[str]) -> Slot:
    name = hit[1].upper()
    return ENVOY.get(name) or ENVOY.get(name.partition("(")[0] if name.startswith("START_TIME") else "", Slot())


def w3c(text: str) -> list[Part]:
    """Return the parts of the fields of a `#Fields:` line: IIS, CloudFront, and whoever else keeps to it. Raises BadLayout."""
    names = text.split()
    if len(names) < 3:
        raise BadLayout(f"#Fields: names {len(names)} fields, too few for a log of requests.")
    edge = any(name.startswith("x-edge-") for name in names)
    gap = b"\t" if edge else b" "
    parts: list[Part] = []
    for name in names:
        slot = W3C.get(name.lower(), Slot())
        if name.lower() == "time-taken":
            slot = Slot("seconds" if edge else "ms")
        parts += [gap, Slot(slot.field, slot.shape or r"[^\t\n]*+" if edge else slot.shape or r"\S++")]
    return parts[1:]


DIALECTS: Final[Mapping[str, Callable[[str], list[Part]]]] = {
    "nginx": nginx, "apache": apache, "haproxy": haproxy, "envoy": envoy, "w3c": w3c,
}  # fmt: skip


def _split(text: str, token: re.Pattern[str], slot: Callable[[re.Match[str]], Slot | bytes], sign: str) -> list[Part]:
    """Return fixed text and fields in turn. Raises BadLayout where `sign` begins nothing known."""
    parts: list[Part] = []
    at = 0
    for hit in token.finditer(text):
        _literal(parts, text[at : hit.start()], at, sign)
        parts.append(slot(hit))
        at = hit.end()
    _literal(parts, text[at:], at, sign)
    if not any(isinstance(part, Slot) and part.field for part in parts):
        raise BadLayout(f"The format names no field that is known: {text[:100]!r}.")
    return parts


def _literal(parts: list[Part], text: str, at: int, sign: str) -> None:
    if sign in text:
        where = at + text.index(sign) + 1
        raise BadLayout(
            f"The format is broken at character {where}: {sign!r} begins no field in {text[text.index(sign) :][:20]!r}."
        )
    if text:
        if parts and isinstance(parts[-1], bytes):
            parts[-1] += text.encode()
        else:
            parts.append(text.encode())
