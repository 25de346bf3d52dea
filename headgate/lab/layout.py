"""Where each scenario's servers are found: ports counted from one base, and paths in one folder. Nothing is opened here."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .certificates import NAME
from .dns import name_of
from .scenario import Scenario

DEFAULT_BASE = 17_000
"""First port of the lab; below the range from which the kernel gives ports to outgoing connections."""
EXHAUSTED_ADDRESS = "127.0.0.9"
"""Where the server listens towards which no local port is left."""


def default_folder() -> Path:
    """Return where the lab keeps certificates and unix sockets unless told otherwise."""
    return Path(tempfile.gettempdir()) / f"headgate-lab-{os.getuid()}"


@dataclass(frozen=True)
class Layout:
    """The plan that lab, configurations and score share."""

    scenarios: Mapping[str, Scenario]
    base: int
    folder: Path

    @property
    def control(self) -> tuple[str, int]:
        """Where the running lab takes orders (see laboratory.py)."""
        return "127.0.0.1", self.base

    @property
    def dns(self) -> tuple[str, int]:
        """The lab's DNS server."""
        return "127.0.0.1", self.base + 1

    @property
    def ca_file(self) -> Path:
        """The authority that gateways shall trust."""
        return self.folder / "ca.pem"

    @property
    def tls_name(self) -> str:
        """The name that gateways shall ask for and check."""
        return NAME

    def ports(self, name: str) -> list[int]:
        """Return the ports kept for a scenario, one for each of its servers."""
        first = self.base + 2 + 2 * list(self.scenarios).index(name)
        return list(range(first, first + self.scenarios[name].servers))

    def path(self, name: str) -> Path:
        """Return the unix socket of a scenario."""
        return self.folder / f"{name}.sock"

    def bind_address(self, name: str) -> str:
        """Return the IP address on which a scenario's servers listen."""
        return EXHAUSTED_ADDRESS if self.scenarios[name].place == "ports-exhausted" else "127.0.0.1"

    def urls(self, name: str, gateway_port: int = 0) -> list[str]:
        """Return the servers as a gateway is told: "http://host:port", "https://host:port" or "unix:/path".

        gateway_port: where the gateway itself listens, for the scenario in which it is its own server.
        """
        scenario = self.scenarios[name]
        if scenario.place.startswith("unix"):
            return [f"unix:{self.path(name)}"]
        if scenario.address is not None:
            return [f"{scenario.scheme}://{scenario.address}"]
        host = name_of(name) if scenario.dns else self.bind_address(name)
        ports = [gateway_port] if scenario.place == "gateway" else self.ports(name)
        return [f"{scenario.scheme}://{host}:{port}" for port in ports]


def host_and_port(url: str) -> tuple[str, int]:
    """Return host (without brackets) and port of an http or https URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
