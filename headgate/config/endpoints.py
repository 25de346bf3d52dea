"""Where servers are and where the gateway listens: URL and address texts, parsed once."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from .findings import Bad

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
A_SERVER = '"http://host:port", "https://host:port" or "unix:/path/to.sock"'
AN_ADDRESS = '"host:port", "[v6]:port" or "unix:/path"'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server to connect to."""

    scheme: Literal["http", "https", "unix"]
    host: str  # a name in lower case or an IP address, without brackets; empty for unix
    port: int  # 1 to 65535; 0 for unix
    path: str = ""  # the socket's path, for unix


@dataclass(frozen=True, slots=True)
class Address:
    """One address to listen on."""

    host: str  # a name or an IP address, without brackets; empty for unix
    port: int  # 0 to 65535, 0 lets the system choose; 0 for unix
    path: str = ""  # the socket's path, for unix

    def __str__(self) -> str:
        """Return the address as it is written in a configuration."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(url: str) -> Endpoint:
    """Return the endpoint that a server's URL names. Raises Bad."""
    if url.lower().startswith("unix:"):
        return Endpoint("unix", "", 0, _socket_path(url[5:]))
    if not url.isprintable() or " " in url:
        raise Bad("the URL has a space or a control character in it", A_SERVER)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Bad("the URL has unbalanced or wrong brackets", A_SERVER, _bracket_hint(url)) from None
    if parts.scheme not in _DEFAULT_PORTS or not url.lower().startswith(f"{parts.scheme}://"):
        raise Bad(*_wrong_scheme(url, parts))
    _only_host_and_port(url, parts)
    host, port = split_host(parts.netloc)
    if port == 0:
        raise Bad("port 0 cannot be connected to", "a port from 1 to 65535")
    return Endpoint("https" if parts.scheme == "https" else "http", host, port or _DEFAULT_PORTS[parts.scheme])


def _wrong_scheme(url: str, parts: SplitResult) -> tuple[str, str, str]:
    """Return message, expected and hint for a URL that is neither http:// nor https://."""
    if "://" in url:
        hint = {"ws": "WebSockets are relayed over http://", "wss": "WebSockets are relayed over https://"}
        return f'the scheme "{parts.scheme}" cannot be used', A_SERVER, hint.get(parts.scheme, "")
    if url.startswith("/"):
        return "a path is not a URL", A_SERVER, f'for a unix socket write "unix:{url}"'
    bare = url.split(":", 1)[1] if parts.scheme in _DEFAULT_PORTS else url
    return "the URL has no scheme", A_SERVER, f'did you mean "http://{bare.lstrip("/")}"?'


def _only_host_and_port(url: str, parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise Bad("a user or password in the URL is not used", A_SERVER)
    if parts.path or parts.query or parts.fragment or url.endswith(("?", "#")):
        what = "path" if parts.path else "query" if parts.query or url.endswith("?") else "fragment"
        bare = f"{parts.scheme}://{parts.netloc}"
        raise Bad(f"the URL has a {what}, but requests keep their own path and query", A_SERVER, f'write "{bare}"')


def parse_listen(text: str) -> Address:
    """Return the address that a `listen` text names. Raises Bad."""
    if text.startswith("unix:"):
        return Address("", 0, _socket_path(text[5:]))
    if "://" in text:
        raise Bad("an address to listen on is not a URL", AN_ADDRESS, f'write "{text.split("://", 1)[1].strip("/")}"')
    everywhere = re.fullmatch(r"(?:\*?:)?(\d+)", text)
    if everywhere:
        port = everywhere[1]
        raise Bad("the address has no host", AN_ADDRESS, f'write "0.0.0.0:{port}" for every IPv4 address, "[::]:{port}" for IPv6')
    host, listen_port = split_host(text)
    if listen_port is None:
        raise Bad("the address has no port", AN_ADDRESS, f'did you mean "{text}:8080"?')
    return Address(host, listen_port)


def split_host(text: str) -> tuple[str, int | None]:
    """Return host (lower case, no brackets) and port (None when absent) of "host:port". Raises Bad."""
    found = re.fullmatch(r"\[([^\[\]]*)\](?::([^:]*))?|([^:\[\]]*)(?::([^:]*))?", text)
    if found is None:
        raise Bad(f'"{text}" is not host and port', "host:port", _bracket_hint(text))
    port = found[2] if found[1] is not None else found[4]
    host = _v6(found[1]) if found[1] is not None else host_name(found[3])
    return host, None if port is None else _port(port)


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65_535:
        raise Bad(f'"{text}" is not a port', "a number from 1 to 65535")
    return int(text)


def _v6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text.replace("%25", "%")))
    except ValueError:
        raise Bad(f'"{text}" is not an IPv6 address', "only IPv6 addresses stand in brackets") from None


def host_name(text: str) -> str:
    """Return a DNS name or IPv4 address in lower case, if it is one. Raises Bad."""
    if not text:
        raise Bad("the host is missing", "a name or an IP address")
    if not text.isascii():
        raise Bad(f'"{text}" is not written in ASCII', "a name of letters, digits, hyphens and dots", _punycode_hint(text))
    labels = text.removesuffix(".").split(".")
    if len(text) > 254 or not all(map(_LABEL.fullmatch, labels)):
        raise Bad(f'"{text}" is not a host name', "a name of letters, digits, hyphens and dots, or an IP address")
    if labels[-1].isdigit():
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise Bad(f'"{text}" is not an IPv4 address', "four numbers from 0 to 255, with dots between them") from None
    return text.lower()


def _punycode_hint(text: str) -> str:
    try:
        ascii_form = text.encode("idna")
        return f'write "{ascii_form.decode()}"' if ascii_form.decode("idna") == text.lower() else ""
    except UnicodeError:
        return ""


def _bracket_hint(text: str) -> str:
    """Return a hint where an IPv6 address seems to stand without its brackets."""
    bare = re.fullmatch(r"(?:(\w+://))?([0-9a-fA-F:]+:[0-9a-fA-F:]*)", text)
    return f'an IPv6 address stands in brackets: "{bare[1] or ""}[{bare[2]}]:port"' if bare else ""


def _socket_path(path: str) -> str:
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if not path.strip("/") or "\0" in path:
        raise Bad("the socket's path is missing", '"unix:/path/to.sock"')
    if len(path.encode()) > 107:  # sockaddr_un on Linux: 108 bytes with the final NUL
        raise Bad(f"the socket's path has {len(path.encode())} bytes", "at most 107, the system's limit")
    return path
