"""Owns what this machine tells about itself: listening sockets and their queues, gateways that run, containers, kernel counters.

Everything is read, nothing is changed; what may not be read is left out, and a look says so.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import psutil

GATEWAYS: Final[Mapping[str, str]] = {
    "nginx": "nginx", "openresty": "openresty", "haproxy": "haproxy", "apache2": "apache", "httpd": "apache", "caddy": "caddy",
    "traefik": "traefik", "envoy": "envoy", "varnishd": "varnish", "squid": "squid", "headgate": "headgate",
    "lighttpd": "lighttpd",
}  # fmt: skip
"""Names of processes, and the products they are."""
DEFAULT_CONFIGS: Final[Mapping[str, tuple[str, ...]]] = {
    "nginx": ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf"),
    "openresty": ("/usr/local/openresty/nginx/conf/nginx.conf",),
    "haproxy": ("/etc/haproxy/haproxy.cfg",),
    "apache": ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"),
    "caddy": ("/etc/caddy/Caddyfile",),
    "headgate": ("/etc/headgate/headgate.toml",),
}
"""Where each product's configuration usually is."""
_CONFIG_FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "nginx": ("-c",), "openresty": ("-c",), "haproxy": ("-f",), "apache": ("-f",), "caddy": ("--config", "-config"),
}  # fmt: skip
_TIME: Final = 5.0
_COUNTERS: Final = {
    "ListenOverflows": "connections dropped because a program's queue of new connections was full (ListenOverflows)",
    "ListenDrops": "new connections dropped (ListenDrops)",
    "TCPReqQFullDrop": "new connections dropped by SYN protection (TCPReqQFullDrop)",
    "TCPAbortOnMemory": "connections ended for want of memory (TCPAbortOnMemory)",
    "TCPMemoryPressures": "times TCP ran short of memory (TCPMemoryPressures)",
}
_LOSSY: Final = 0.02
"""Share of segments sent again from which the network is called lossy."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket on which somebody waits for connections."""

    address: str  # "127.0.0.1:3000", "[::]:80"
    program: str  # "" where it may not be seen
    pid: int
    waiting: int = -1  # connections in its queue now
    backlog: int = -1  # room in its queue

    @property
    def full(self) -> bool:
        """Whether the queue is full: the next connection is dropped."""
        return self.backlog > 0 and self.waiting >= self.backlog

    @property
    def local_only(self) -> bool:
        """Whether only this machine can reach it."""
        return self.address.startswith(("127.", "[::1]"))


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs here."""

    product: str
    pid: int
    config: tuple[str, ...] = ()  # configuration files, as its command line says or by default
    container: str = ""  # id of the container it runs in, as far as that can be seen
    user: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as `docker ps -a` or podman tells."""

    name: str
    image: str
    status: str  # "Up 2 hours", "Exited (137) 3 minutes ago"
    ports: str

    @property
    def running(self) -> bool:
        """Whether it is up."""
        return self.status.lower().startswith("up")


@dataclass(frozen=True, slots=True)
class Kernel:
    """Counters of the kernel since it started."""

    troubles: tuple[str, ...] = ()  # sentences, each with its number
    sent: int = 0
    sent_again: int = 0
    numbers: Mapping[str, int] = field(default_factory=dict)

    @property
    def lossy(self) -> bool:
        """Whether so much is sent again that packets must be getting lost."""
        return self.sent > 10_000 and self.sent_again / self.sent > _LOSSY


def listening() -> list[Listening]:
    """Return the listening TCP sockets, with their queues where `ss` is installed."""
    queues = _queues()
    found: dict[str, Listening] = {}
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        connections = []
    for one in connections:
        if one.status != psutil.CONN_LISTEN or not one.laddr:
            continue
        host, port = one.laddr[0], one.laddr[1]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        waiting, backlog = queues.get(address, (-1, -1))
        found.setdefault(address, Listening(address, _name(one.pid), one.pid or 0, waiting, backlog))
    return sorted(found.values(), key=lambda one: one.address)


def _name(pid: int | None) -> str:
    try:
        return str(psutil.Process(pid).name()) if pid else ""
    except psutil.Error:
        return ""


def _queues() -> dict[str, tuple[int, int]]:
    """Return waiting connections and room of each listening socket, from `ss`."""
    found = {}
    for line in _said("ss", "-Hltn").splitlines():
        words = line.split()
        if len(words) >= 4 and words[1].isdigit() and words[2].isdigit():
            address = words[3].replace("*:", "0.0.0.0:")
            found[re.sub(r"%[^:\]]+", "", address)] = (int(words[1]), int(words[2]))
    return found


def running() -> list[Running]:
    """Return the gateways that run here, one for each main process."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "ppid", "username"]):
        info = process.info
        product = _product(info["name"] or "", info["cmdline"] or [])
        if not product:
            continue
        try:
            parent = psutil.Process(info["ppid"]).name()
        except (psutil.Error, ValueError):
            parent = ""
        if GATEWAYS.get(str(parent)) == product and product != "headgate":
            continue  # a worker
        files = tuple(_config_files(product, info["cmdline"] or [], process))
        found.append(Running(product, info["pid"], files, container_of(info["pid"]), info["username"] or ""))
    return found


def _product(name: str, words: list[str]) -> str:
    if GATEWAYS.get(name, "headgate") != "headgate":
        return GATEWAYS[name]
    if any(word == "serve" for word in words) and any(
        word in ("headgate", "-m") or word.endswith("/headgate") for word in words[:3]
    ):
        return "headgate" if any("headgate" in word for word in words[:4]) else ""
    return ""


def _config_files(product: str, words: list[str], process: psutil.Process) -> Iterator[str]:
    """Yield the configuration files that a command line names, else the usual one that exists."""
    named = [after for flag, after in pairwise(words) if flag in _CONFIG_FLAGS.get(product, ())]
    if product == "headgate":
        named = [after for flag, after in pairwise(words) if flag == "serve" and after.endswith(".toml")]
    folder = ""
    try:
        folder = process.cwd()
    except (psutil.Error, OSError):
        pass
    for name in named:
        yield name if name.startswith("/") or not folder else str(Path(folder) / name)
    if not named:
        yield from (path for path in DEFAULT_CONFIGS.get(product, ()) if Path(path).is_file())


def container_of(pid: int) -> str:
    """Return the short id of the container in which a process runs, "" where none shows."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    hit = re.search(r"(?:docker|containerd|crio|podman|libpod)[-/:a-z_]*([0-9a-f]{12,64})", text)
    return hit[1][:12] if hit else ""


def containers() -> list[Container]:
    """Return the containers of Docker or Podman, running or not; empty where neither can be asked."""
    for program in ("docker", "podman"):
        text = _said(program, "ps", "-a", "--format", "{{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}")
        rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
        if rows:
            return [Container(*row) for row in rows[:100]]
    return []


def kernel() -> Kernel:
    """Return what the kernel counted since it started."""
    numbers = {**_table("/proc/net/netstat"), **_table("/proc/net/snmp")}
    troubles = tuple(f"{numbers[key]:,} {words}" for key, words in _COUNTERS.items() if numbers.get(key, 0) > 0)
    return Kernel(troubles, numbers.get("OutSegs", 0), numbers.get("RetransSegs", 0), numbers)


def _table(path: str) -> dict[str, int]:
    """Return the counters of a file with a line of names and a line of numbers for each group."""
    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        pairs = zip(names.split()[1:], values.split()[1:], strict=False)
        found |= {name: int(value) for name, value in pairs if value.lstrip("-").isdigit()}
    return found


def selinux() -> str:
    """Return "enforcing", "permissive", or "" where SELinux is not there."""
    try:
        return "enforcing" if Path("/sys/fs/selinux/enforce").read_text(encoding="ascii").strip() == "1" else "permissive"
    except OSError:
        return ""


def _said(program: str, *arguments: str) -> str:
    """Return what a program prints, "" where it is missing, fails or takes too long."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_TIME, check=False)  # noqa: S603 (fixed words)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
