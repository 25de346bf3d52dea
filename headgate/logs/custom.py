"""Owns `--format`: a known format's name, or the string with which a server was told what its log looks like."""

import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from ..diagnose.redact import clean
from .dialects import DIALECTS
from .formats import Format, formats
from .layout import BadLayout, Slot

_BASES: Final = {
    "nginx": "nginx-combined",
    "apache": "apache-combined",
    "haproxy": "haproxy-http",
    "envoy": "envoy",
    "w3c": "iis",
}
"""Whose product, own pages and harmless flags a custom format has."""
_NGINX_DIRECTIVE: Final = re.compile(
    r"log_format\s+(?P<name>\S+)\s+(?:escape=\w+\s+)?(?P<text>(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\s)+);"
)
_NGINX_PART: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_NGINX_USED: Final = re.compile(r"^\s*access_log\s+\S+\s+([A-Za-z]\w*)", re.MULTILINE)
_APACHE_DIRECTIVE: Final = re.compile(r'^\s*(?:LogFormat|CustomLog\s+\S+)\s+"((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_HAPROXY_DIRECTIVE: Final = re.compile(r"^\s*log-format\s+(.*)$", re.DOTALL)
_LARGEST: Final = 1 << 20


def of_option(text: str) -> Format | None:
    """Return the format that a `--format` names; None for "".

    It may be the id of a known format; a string of nginx's log_format, Apache's LogFormat or HAProxy's log-format, with or
    without the directive around it, told apart by its look or by a word before it ("nginx:", "apache:", "haproxy:",
    "envoy:", "w3c:"); or `@FILE` or `@FILE:NAME`, an nginx.conf with a log_format of that name. Raises BadLayout.
    """
    text = text.strip()
    if not text:
        return None
    if text in formats():
        return formats()[text]
    if text.startswith("@"):
        return _of_file(text[1:])
    dialect, _, rest = text.partition(":")
    if dialect in DIALECTS and rest:
        return _made(dialect, rest)
    if re.fullmatch(r"[\w-]+", text):
        close = get_close_matches(text, formats(), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else f" Known are: {', '.join(sorted(formats()))}."
        raise BadLayout(f"No format is called {text!r}.{hint}")
    return _made(_dialect_of(text), text)


def _dialect_of(text: str) -> str:
    """Return whose language a format string is written in. Raises BadLayout."""
    if "log_format" in text or re.search(r"\$\{?[a-z_]", text):
        return "nginx"
    if re.search(r"%[A-Z0-9_]{3,}(?:\([^)]*\))?(?::\d+)?%", text):
        return "envoy"
    if re.search(r"%(?:\{\+[A-Z]\})?\[|%(?:\{[^}]*\})?(?:ci|ST|tr|tsc|ft|TR|HM|si|sp|ts|rc)\b|log-format", text):
        return "haproxy"
    if "%" in text:
        return "apache"
    raise BadLayout(
        f"This is no log format: {text[:100]!r}. Expected nginx's log_format ($status), Apache's LogFormat (%>s), "
        "HAProxy's log-format (%ST), or the name of a known format."
    )


def _made(dialect: str, text: str) -> Format:
    layout = _bare(dialect, text)
    parts = DIALECTS[dialect](layout)
    if not any(isinstance(part, Slot) and part.field == "status" for part in parts):
        status = {"nginx": "$status", "apache": "%>s", "haproxy": "%ST", "envoy": "%RESPONSE_CODE%", "w3c": "sc-status"}[dialect]
        raise BadLayout(f"The format lacks the status ({status}): without it no failure can be told.")
    base = formats()[_BASES[dialect]]
    sizes = {"nginx": "$body_bytes_sent", "apache": "%b", "envoy": "%BYTES_SENT%"}.get(dialect, "\0")
    made = replace(
        base, id=f"custom-{dialect}", title=f"access log in the format given ({dialect})", layout=layout, parts=tuple(parts),
        counts="body" if sizes in layout or (dialect == "apache" and "%B" in layout) else "all", note="", sample=(),
    )  # fmt: skip
    _ = made.patterns  # raises BadLayout here, not at the first line
    return made


def _bare(dialect: str, text: str) -> str:
    """Return a format string without the directive around it."""
    if dialect == "nginx":
        if found := _NGINX_DIRECTIVE.search(text if text.rstrip().endswith(";") else text + ";"):
            return _joined(found["text"])
        if text[:1] in "'\"" and _NGINX_PART.match(text):
            return _joined(text)
    if dialect == "apache" and (found := _APACHE_DIRECTIVE.match(text)):
        return found[1]
    if dialect == "haproxy" and (found := _HAPROXY_DIRECTIVE.match(text)):
        text = found[1].strip()
    if text[:1] == text[-1:] == '"' and dialect != "nginx" and '"' not in text[1:-1].replace('\\"', ""):
        return text[1:-1]
    return text


def _joined(text: str) -> str:
    """Return the strings of a directive as one, backslashes undone as nginx does it."""
    parts = [found[1] if found[1] is not None else found[2] for found in _NGINX_PART.finditer(text)]
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), "".join(parts))


def _of_file(where: str) -> Format:
    """Return the format that an nginx.conf declares: the one named, the one its access_log uses, or its only one."""
    path, name = (where, "") if Path(where).exists() or ":" not in where else tuple(where.rpartition(":")[::2])
    try:
        if path == "":
            raise BadLayout("After @ the name of a file is expected, such as @/etc/nginx/nginx.conf:main.")
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        raise BadLayout(f"{clean(path, 200)} cannot be read: {error.strerror or error}.") from None
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    found = {one["name"]: one["text"] for one in _NGINX_DIRECTIVE.finditer(text)}
    used = [one for one in _NGINX_USED.findall(text) if one in found]
    wanted = name or (used[0] if used else next(iter(found), ""))
    if wanted not in found:
        known = f" It declares: {', '.join(found)}." if found else ""
        raise BadLayout(f"{path} has no log_format{f' called {wanted}' if wanted else ''}.{known}")
    return _made("nginx", _joined(found[wanted]))
