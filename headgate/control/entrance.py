"""Owns how people come in by a browser where a token is asked: a form, then a cookie instead; and how guessing is slowed.

The cookie holds no secret of its own: a time, and a signature by the token. So it ends with its time, or with the token. It goes
to this host only and never along with another site's requests; but browsers send it to every port of a host, so the dashboard
should not share its host name with programs that are not trusted.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

LASTS: Final = 12 * 3600
"""Seconds after which one has to log in again."""
_FREE: Final = 5
"""Wrong tries that cost no time."""
_LONGEST: Final = 60.0
_ADDRESSES: Final = 1000
_FORGOTTEN: Final = 900.0
"""Seconds after which wrong tries are forgotten."""

Form = Callable[[str, str], str]
"""Makes the page with the form: of what was wrong, and where to go afterwards."""


class Tries:
    """Wrong tries by address: after some, each costs twice the time of the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Return how many seconds an address has to wait until its next try counts."""
        count, at = self._wrong.get(_network(client), (0, 0.0))
        if count < _FREE:
            return 0.0
        return max(0.0, at + min(_LONGEST, 2.0 ** (count - _FREE)) - self._clock())

    def failed(self, client: str) -> None:
        """Remember a wrong try."""
        key, now = _network(client), self._clock()
        count, at = self._wrong.get(key, (0, now))
        self._wrong[key] = (1 if now - at > _FORGOTTEN else count + 1, now)
        self._wrong.move_to_end(key)
        while len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)


def _network(client: str) -> str:
    """Return what counts as one address: of IPv6 the network, as each machine has many."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network(f"{client}/64", strict=False))


class Entrance:
    """The form, and the cookies of those who came in by it."""

    def __init__(self, token: bytes, port: int, form: Form, *, wall: Callable[[], float] = time.time) -> None:
        """port: of the listener; cookies of several on one host keep apart by it. wall: wall-clock seconds."""
        self.form = form
        self.tries = Tries()
        self._token, self._wall = token, wall
        self._key = hashlib.blake2b(b"session of a browser", key=token[:64], digest_size=32).digest()
        self._name = f"headgate_{port}"

    def is_right(self, token: str) -> bool:
        """Tell whether somebody knows the token. Takes as long whether or not."""
        return hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)

    def cookie(self, *, secure: bool) -> str:
        """Return the field value that lets a browser in."""
        until = f"{int(self._wall()) + LASTS}.{secrets.token_hex(8)}"
        return self._set(f"{until}.{self._signature(until)}", LASTS, secure)

    def no_cookie(self, *, secure: bool) -> str:
        """Return the field value that makes a browser forget."""
        return self._set("", 0, secure)

    def _set(self, value: str, seconds: int, secure: bool) -> str:
        return f"{self._name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{'; Secure' * secure}"

    def lets_in(self, cookies: str) -> bool:
        """Tell whether one of a request's cookies (the field's value) is of ours, and still good."""
        for pair in cookies[:8192].split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self._name and self._is_good(value):
                return True
        return False

    def _is_good(self, value: str) -> bool:
        until, _, signature = value.rpartition(".")
        when = until.partition(".")[0]
        right = hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(until).encode())
        return right and when.isdecimal() and float(when) > self._wall()

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def fields_of(body: bytes) -> Mapping[str, str]:
    """Return the fields of a form (application/x-www-form-urlencoded)."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))


def local(to: str) -> str:
    """Return where to go after the login: only ever a page of ours."""
    plain = to.isascii() and to.isprintable() and "\\" not in to
    return to if plain and to.startswith("/") and not to.startswith(("//", "/login", "/logout")) else "/"
