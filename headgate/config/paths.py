"""In which form paths are compared with routes: decoded once, slashes merged, dots resolved, as most servers read them.

Otherwise `/%61dmin`, `//admin` or `/admin%2Fusers` would pass by the rules of a route for `/admin` and still reach it. Only the
choice of the route sees this form: what is forwarded keeps the client's own spelling.
"""

import re
from urllib.parse import unquote_to_bytes

_SLASHES = re.compile(rb"//+")


def matching_form(path: bytes) -> bytes:
    """Return the form of a path, without query, in which it is compared with routes. "*" and the like stay as they are."""
    if path[:1] != b"/":
        return path
    path = _SLASHES.sub(b"/", unquote_to_bytes(path))
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in {b".", b".."}:
        kept.append(b"")  # "/a/.." is the folder "/", with its slash
    return b"/" + b"/".join(kept)
