"""What systemd is told of this service (sd_notify(3)), where it listens: ready, and which process is the main one."""

import os
import socket


def notify(message: str) -> None:
    """Send a message such as "READY=1"; nothing happens where nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            sock.sendall(message.encode())
    except OSError:
        pass  # a manager that cannot be told will find out by itself
