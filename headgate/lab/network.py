"""A network namespace of our own for lab and gateway: only there can routes be missing and ports run out on purpose."""

import os
import shutil
import subprocess
import sys

_MARK = "HEADGATE_LAB_NAMESPACE"
_ROUTES = (("unreachable", "10.77.0.0/16"), ("prohibit", "10.78.0.0/16"))
"""What scenarios of the group "connect" rely on: these destinations fail at once, and no packet leaves."""


def inside() -> bool:
    """Return whether this process runs in the lab's own namespace."""
    return _MARK in os.environ


def command() -> list[str] | None:
    """Return the command prefix that runs something in a new namespace; None where that is impossible."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
    if unshare is None or ip is None:
        return None
    prefix = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--user", "--map-root-user", "--net"]
    up = [*prefix, ip, "link", "set", "lo", "up"]
    works = subprocess.run(up, capture_output=True, timeout=10, check=False)  # noqa: S603 (fixed words)
    return prefix if works.returncode == 0 else None


def enter() -> bool:
    """Begin this program anew in a namespace of its own, unless it is there already; return False where impossible.

    Does not return where it is possible: the process is replaced.
    """
    prefix = None if inside() else command()
    if prefix is not None:
        sys.stdout.flush()
        os.environ[_MARK] = "yes"
        os.execvp(prefix[0], [*prefix, sys.executable, "-m", "headgate", *sys.argv[1:]])  # noqa: S606 (our own program)
    return inside()


def furnish() -> None:
    """Bring up the loopback interface and the routes that the scenarios need. Only inside."""
    ip = shutil.which("ip") or "/usr/sbin/ip"
    for words in (["link", "set", "lo", "up"], *(["route", "replace", *route] for route in _ROUTES)):
        subprocess.run([ip, *words], check=True, timeout=10)  # noqa: S603 (fixed words)
