"""Owns which proxy this machine's settings put before a URL: HTTP_PROXY and its kin, as curl and most programs read them."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..diagnose.looks import Look
from .url import BadUrl, Url, parse_url

_NAMES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The settings that are there: values by lower-case name."""

    values: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def for_url(self, url: Url) -> Url | None:
        """Return the proxy for a URL, None where none applies or its address cannot be used."""
        if self.exempt(url.host, url.port):
            return None
        text = self.values.get(f"{url.scheme}_proxy") or self.values.get("all_proxy") or ""
        if not text:
            return None
        try:
            found = parse_url(text if "://" in text else f"http://{text}")
        except BadUrl:
            return None
        return found if found.scheme in ("http", "https") else None

    def exempt(self, host: str, port: int) -> bool:
        """Return whether NO_PROXY takes a host out: by name or its end, address or network, with or without a port, or by *."""
        for word in self.values.get("no_proxy", "").replace(" ", ",").split(","):
            rule = word.strip().lower()
            if rule and (rule == "*" or _fits(rule, host.lower(), port)):
                return True
        return False


def _fits(rule: str, host: str, port: int) -> bool:
    name, _, number = rule.rpartition(":")
    if name and number.isdigit() and "]" not in number and name.count(":") == 0:
        if int(number) != port:
            return False
        rule = name
    try:
        address = ipaddress.ip_address(host)
        return address in ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        pass
    suffix = rule.lstrip("*").lstrip(".")
    return host == suffix or host.endswith("." + suffix)


def settings(environment: Mapping[str, str]) -> Proxies:
    """Return the proxy settings in an environment; the lower-case name wins; HTTP_PROXY in capitals is no setting for curl."""
    values: dict[str, str] = {}
    notes: list[str] = []
    for name in _NAMES:
        small, capital = environment.get(name, "").strip(), environment.get(name.upper(), "").strip()
        if small and capital and small != capital:
            notes.append(f"{name} and {name.upper()} differ; most programs take {name}")
        if not small and capital and name == "http_proxy":
            notes.append("only HTTP_PROXY in capitals is set: curl ignores it for http, other programs do not")
        if small or capital:
            values[name] = small or capital
    if "http_proxy" in values and "https_proxy" not in values and "all_proxy" not in values:
        notes.append("http_proxy is set and https_proxy is not: https goes around the proxy")
    return Proxies(values, tuple(notes))


def shown(text: str) -> str:
    """Return a proxy's URL without user and password."""
    scheme, mark, rest = text.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def proxy_look(proxies: Proxies, url: Url, at: float) -> Look | None:
    """Return what the settings mean for a URL; None where nothing is set."""
    if not proxies.values:
        return None
    proxy = proxies.for_url(url)
    facts = {
        "variables": {name: shown(value) if name != "no_proxy" else value for name, value in proxies.values.items()},
        "applies": proxy is not None, "url": f"{proxy.scheme}://{proxy.host}:{proxy.port}" if proxy else "",
    } | ({"missing": "https_proxy"} if any("https_proxy is not" in note for note in proxies.notes) else {})  # fmt: skip
    what = f"requests go through {facts['url']}" if proxy else f"{url.host} is not meant to go through a proxy"
    return Look("proxy", "proxy settings", None, "; ".join((what, *proxies.notes)), at=at, facts=facts)
