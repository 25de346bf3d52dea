"""Owns the files beside the dashboard's pages: with its content's hash in its address, so that browsers may keep it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from types import MappingProxyType
from typing import Final

PREFIX: Final = "/static/"
_KINDS: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NAMES: Final = ("dashboard.css", "dashboard.js", "theme.js", "icon.svg", "vendor/uPlot.iife.min.js", "vendor/uPlot.min.css")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    body: bytes
    kind: str  # media type


@cache
def _addresses() -> tuple[Mapping[str, str], Mapping[str, Asset]]:
    folder = files("headgate.web") / "static"
    addresses, assets = {}, {}
    for name in _NAMES:
        body = folder.joinpath(*name.split("/")).read_bytes()
        stem, _, ending = name.rpartition("/")[2].rpartition(".")
        hashed = f"{stem}-{blake2b(body, digest_size=6).hexdigest()}.{ending}"
        addresses[name] = PREFIX + hashed
        assets[hashed] = Asset(body, _KINDS[ending])
    return MappingProxyType(addresses), MappingProxyType(assets)


def address(name: str) -> str:
    """Return the address of a file: "/static/dashboard-0a1b2c.css". Raises KeyError for one that there is not."""
    return _addresses()[0][name]


def asset(hashed: str) -> Asset | None:
    """Return the file at an address below PREFIX, None where there is none."""
    return _addresses()[1].get(hashed)
