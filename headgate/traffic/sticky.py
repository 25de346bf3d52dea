"""Which server a client was bound to: a signed cookie that names it without showing its address.

The cookie's value is a server's id, a dot and a signature, both base64url. Both are made with the gateway's key, so a client can
neither make a value up nor learn from it which addresses stand behind the gateway. They are keyed BLAKE2b, which is a message
authentication code by itself (RFC 7693 section 2.9), in a quarter of HMAC-SHA-256's time. Cookie syntax: RFC 6265 sections 4.1.1
and 4.2.1; the name prefixes and SameSite: RFC 6265bis sections 4.1.2.7 and 4.1.3.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, Literal

SHORTEST_KEY: Final = 16
"""Bytes a signing key must have at least."""
ID_LENGTH: Final = 12
"""Characters of a server's id (72 bits)."""
SIGNATURE_LENGTH: Final = 20
"""Characters of a signature (120 bits)."""
MOST_LOOKS: Final = 32
"""Places where the cookie's name is looked at in one request. A browser sends it once for each path it was set for."""
MOST_SPACES: Final = 8
"""Spaces and tabs that may stand before a cookie's name; a browser sends one."""

_VALUE_LENGTH: Final = ID_LENGTH + 1 + SIGNATURE_LENGTH
_AFTER: Final = (b"", b";", b" ", b"\t")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_PATH: Final = re.compile(r"/[\x21-\x3a\x3c-\x7e]{0,1023}")


class Sticky:
    """Makes and reads the cookie of one upstream.

    name: the cookie's, a token (RFC 9110). key: at least SHORTEST_KEY secret bytes, the same in every gateway that shares the
    clients. path: the cookie's. max_age: seconds that the browser keeps it, None: until it is closed. secure: send it over HTTPS
    only. same_site: which requests from other sites carry it. Raises ValueError, naming the setting, for what browsers refuse.
    """

    __slots__ = ("_attributes", "_key", "_prefix", "_signer")

    def __init__(
        self,
        name: str,
        key: bytes,
        path: str = "/",
        max_age: int | None = None,
        secure: bool = False,
        same_site: Literal["Strict", "Lax", "None"] = "Lax",
    ) -> None:
        _check(name, key, path, max_age, secure, same_site)
        self._prefix = name.encode() + b"="
        self._key = blake2b(key).digest()  # of any length, while BLAKE2b takes keys of up to 64 bytes
        # With the name in front: a value is good for the cookie it was made for, not for another upstream's.
        self._signer = blake2b(self._prefix, digest_size=SIGNATURE_LENGTH * 3 // 4, key=self._key, person=b"cookie")
        age = "" if max_age is None else f"; Max-Age={max_age}"
        self._attributes = f"; Path={path}{age}; HttpOnly{'; Secure' if secure else ''}; SameSite={same_site}".encode()

    def server_id(self, label: str) -> bytes:
        """Return the id of the server with this label: the same for the same key, whatever the cookie's name."""
        name = label.encode("utf-8", "surrogateescape")
        return urlsafe_b64encode(blake2b(name, digest_size=ID_LENGTH * 3 // 4, key=self._key, person=b"server").digest())

    def set_cookie(self, server_id: bytes) -> bytes:
        """Return the value of the Set-Cookie field that binds a client to a server."""
        return b"%b%b.%b%b" % (self._prefix, server_id, self._signature(server_id), self._attributes)

    def server_of(self, cookie_fields: Iterable[bytes]) -> bytes | None:
        """Return the id of the server that the client is bound to, None when no cookie of ours with a right signature came.

        cookie_fields: the values of the request's Cookie fields, as they were received. The id was given out by some gateway with
        this key; whether its server still exists is for the caller to see.
        """
        looks = 0
        for field in cookie_fields:
            at = field.find(self._prefix)
            while at >= 0:
                looks += 1
                if looks > MOST_LOOKS:
                    return None
                start = at + len(self._prefix)
                if _begins(field, at) and (server_id := self._signed(field[start : start + _VALUE_LENGTH + 1])):
                    return server_id
                at = field.find(self._prefix, start)
        return None

    def _signed(self, value: bytes) -> bytes | None:
        """Return the id of a value (and the octet after it, if any) when it is whole and signed by us."""
        server_id = value[:ID_LENGTH]
        signature = value[ID_LENGTH + 1 : _VALUE_LENGTH]
        if len(signature) != SIGNATURE_LENGTH or value[ID_LENGTH] != 0x2E or value[_VALUE_LENGTH:] not in _AFTER:
            return None
        return server_id if compare_digest(signature, self._signature(server_id)) else None

    def _signature(self, server_id: bytes) -> bytes:
        """Return the signature of an id."""
        signer = self._signer.copy()
        signer.update(server_id)
        return urlsafe_b64encode(signer.digest())


def _begins(field: bytes, at: int) -> bool:
    """Tell whether a cookie begins here: at the field's beginning, or after a semicolon and some space."""
    before = field[max(0, at - MOST_SPACES) : at].rstrip(b" \t")
    return before.endswith(b";") or (not before and at <= MOST_SPACES)


def _check(name: str, key: bytes, path: str, max_age: int | None, secure: bool, same_site: str) -> None:
    """Raise ValueError for settings that make no cookie, or none that browsers take."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"name: {name[:40]!r} is no cookie name: letters, digits and !#$%&'*+-.^_`|~ only, up to 128")
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"key: {len(key)} bytes are too few to sign with, {SHORTEST_KEY} at least")
    if not _PATH.fullmatch(path):
        raise ValueError(f"path: {path[:40]!r} is no cookie path: it begins with a slash and has no space or semicolon")
    if max_age is not None and max_age <= 0:
        raise ValueError(f"max_age: {max_age} would delete the cookie; a number of seconds above 0")
    if same_site not in ("Strict", "Lax", "None"):
        raise ValueError(f'same_site: {same_site[:40]!r} is not "Strict", "Lax" or "None"')
    if same_site == "None" and not secure:
        raise ValueError('same_site: browsers refuse "None" without secure')
    if name.lower().startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"name: browsers refuse {name[:40]!r} without secure")
    if name.lower().startswith("__host-") and path != "/":
        raise ValueError(f'name: browsers refuse {name[:40]!r} with another path than "/"')
