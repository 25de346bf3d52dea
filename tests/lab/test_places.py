"""Places where servers are not found, each with the errno that the kernel gives there."""

import errno
import os
import socket

import pytest


def tcp_errno(port: int, timeout: float = 0.3) -> int | None:
    """Return what connecting gives; None for no answer in time."""
    with socket.socket() as sock:
        sock.settimeout(timeout)
        try:
            return sock.connect_ex(("127.0.0.1", port)) if timeout else None
        except TimeoutError:
            return None


def unix_errno(path: str) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        return sock.connect_ex(path)


def place(scenario, lab_of, kind: str, more: str = ""):  # type: ignore[no-untyped-def]
    return lab_of(scenario(f'place = "{kind}"\nupstream = [[{{ stall = 5 }}]]\n{more}')).lab.layout


def test_closed_refuses(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    assert tcp_errno(place(scenario, lab_of, "closed").ports("mine")[0]) == errno.ECONNREFUSED


def test_silent_does_not_answer(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    assert tcp_errno(place(scenario, lab_of, "silent").ports("mine")[0]) in (None, errno.EAGAIN, errno.ETIMEDOUT)


def test_first_closed(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    first, second = place(scenario, lab_of, "first-closed", "servers = 2").ports("mine")
    assert (tcp_errno(first), tcp_errno(second)) == (errno.ECONNREFUSED, 0)


@pytest.mark.parametrize(("kind", "wanted"), [("unix", 0), ("unix-missing", errno.ENOENT), ("unix-full", errno.EAGAIN)])
def test_unix(scenario, lab_of, kind: str, wanted: int) -> None:  # type: ignore[no-untyped-def]
    assert unix_errno(str(place(scenario, lab_of, kind).path("mine"))) == wanted


def test_unix_forbidden_has_no_mode_bits(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    path = place(scenario, lab_of, "unix-forbidden").path("mine")
    assert path.stat().st_mode & 0o777 == 0
    if os.geteuid() != 0:
        assert unix_errno(str(path)) == errno.EACCES
