"""How commands ask a running gateway: which one, by which address, with which token, and for how long they wait."""

import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import click

from ..config.endpoints import Address, parse_listen
from ..config.findings import Bad
from ..control.runfolder import find_sockets, run_folder
from ..diagnose.redact import clean
from .main import stop

_PATIENCE: Final = 15.0
"""Seconds for an answer: the gateway's first one takes a moment, and a reload waits for every worker."""
_LARGEST: Final = 64 << 20
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Unreachable(Exception):
    """No gateway answers there. The message says what was tried."""


class Refusal(Exception):
    """The gateway answered that it does not do this. Carries the status; the message is the gateway's own."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__("\n".join(clean(line, 2000) for line in detail.split("\n")))
        self.status = status


class Client:
    """The admin API of one gateway."""

    def __init__(self, address: Address, token: str = "") -> None:
        """token: what `gateway.admin.token` holds; "" for none."""
        self.address = address
        self._token = token

    def at(self, path: str) -> "Client":
        """Return a client of another gateway, on this unix socket, with the same token."""
        return Client(Address("", 0, path), self._token)

    def status(self) -> dict[str, Any]:
        """Return everything. Raises Unreachable and Refusal."""
        found: dict[str, Any] = self.ask("GET", "/api/status")
        return found

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, and return what its answer says. Raises Unreachable and Refusal."""
        try:
            status, data = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no gateway answers on {self.address}: {_reason(error)}") from None
        try:
            told = json.loads(data)
        except ValueError:
            told = None
        if status < 400 and told is not None:
            return told
        detail = told.get("detail") if isinstance(told, dict) else None
        if not isinstance(detail, str):
            raise Unreachable(f"what answers on {self.address} is no admin API of Headgate (status {status})")
        raise Refusal(status, detail)

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        connection = _Connection(self.address)
        try:
            connection.connect()
            fields = {"Host": connection.authority(), "Accept": "application/json"}
            if method != "GET":
                fields["Content-Type"] = "application/json"
            if self._token:
                fields["Authorization"] = f"Bearer {self._token}"
            connection.request(method, path, json.dumps(body) if body is not None else None, fields)
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST)
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to an address of any kind."""

    def __init__(self, address: Address) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._address = address

    def connect(self) -> None:
        if not self._address.path:
            self.sock = socket.create_connection((self._address.host, self._address.port), _PATIENCE)
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._address.path)

    def authority(self) -> str:
        """Return the Host to send: the address in figures, as names are refused."""
        if self._address.path:
            return "localhost"
        host, port = self.sock.getpeername()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_PATIENCE:g} s"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def options(command: _Command) -> _Command:
    """Give a command the options that say which gateway is meant."""
    token = click.option("--token-file", type=click.Path(path_type=Path), help="File with the token, where one is asked for.")
    admin = click.option(
        "--admin", metavar="ADDRESS", help="Where the gateway's admin API listens: unix:/path or host:port [default: found]."
    )
    return admin(token(command))


def client_for(admin: str | None, token_file: Path | None) -> Client:
    """Return the client that the options ask for. Ends the command when there is no gateway, or more than one."""
    token = _token(token_file)
    if admin is not None:
        return Client(_address(admin), token)
    found = find_sockets(os.environ, os.geteuid())
    clients = [Client(Address("", 0, str(path)), token) for _, path in found]
    if not clients:
        folder = run_folder(os.environ, os.geteuid())
        stop(
            f"no running gateway is found (no socket in {folder}): one of another user, or with gateway.admin.listen set, "
            "is named with --admin ADDRESS"
        )
    return clients[0] if len(clients) == 1 else _only(clients)


def _only(clients: list[Client]) -> Client:
    """Return the one that is meant: the only one that is not about to end. Ends the command when there are several."""
    lines, staying = [], []
    for client in clients:
        try:
            gateway = client.status()["gateway"]
        except (Unreachable, Refusal) as problem:
            lines.append(f"  --admin {client.address}  {problem}")
            continue
        lines.append(f"  --admin {client.address}  {gateway['file'] or '(without a file)'}")
        if not gateway["draining"]:
            staying.append(client)
    if len(staying) != 1:
        stop("\n".join([f"{len(clients)} gateways are there; say which one is meant:", *lines]))
    return staying[0]


def _address(text: str) -> Address:
    try:
        address = parse_listen(f"unix:{text}" if text.startswith("/") else text)
    except Bad as problem:
        stop(f"--admin {clean(text, 100)}: " + "; ".join(filter(None, (problem.message, problem.expected, problem.hint))))
    if not address.path and not address.port:
        stop(f"--admin {clean(text, 100)}: port 0 is no port to ask at")
    return address


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        stop(f"--token-file {file}: {getattr(error, 'strerror', None) or 'it holds no token'}")
    if not token or not token.isprintable() or " " in token:
        stop(f"--token-file {file}: it holds no token")
    return token


def told(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask; what cannot be done ends the command: with 1 when the gateway's state forbids it, with 2 for everything else."""
    try:
        return client.ask(method, path, body)
    except Unreachable as problem:
        stop(str(problem))
    except Refusal as refusal:
        click.echo(f"headgate: {refusal}", err=True)
        raise click.exceptions.Exit(1 if refusal.status == 409 else 2) from None


def path_of(upstream: str, server: str = "", action: str = "") -> str:
    """Return the path of an upstream, or of what is done to one of its servers."""
    base = f"/api/upstreams/{quote(upstream, safe='')}"
    return f"{base}/servers/{quote(server, safe='')}/{action}" if server else base
