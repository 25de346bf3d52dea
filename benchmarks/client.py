"""A client for what wrk cannot do: a fixed number of large bodies, a fixed rate, thousands of idle connections.

Run by run.py as a process of its own; prints one line of JSON. Only connections that answer 200 with a Content-Length count.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Iterator

from messages import TARGET, read_head, request

PATIENCE = 30.0  # seconds without any byte before the whole load is given up


class Connection:
    """One kept connection that carries one request at a time."""

    def __init__(self, port: int, buffer: memoryview) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.buffer = buffer
        self.head = b""
        self.missing = -1  # body bytes still to come; -1: the head is not complete
        self.sent = 0.0

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: bytes) -> None:
        """Start the next request; it is small enough for the socket's buffer."""
        self.head, self.missing, self.sent = b"", -1, time.monotonic()
        self.socket.send(message)

    def receive(self) -> bool:
        """Read what is there. True: the response is complete. ValueError: it is not what it should be."""
        if self.missing < 0:
            data = self.socket.recv(65536)
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not data:
                raise ValueError("closed")
            if not end:
                return False
            status, _, length = read_head(head)
            if status != 200 or length < 0:
                raise ValueError(f"status {status}, length {length}")
            self.missing = length - len(body)
        else:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise ValueError("closed")
            self.missing -= count
        return self.missing == 0


def ready(poll: select.epoll, connections: dict[int, Connection], seconds: float) -> Iterator[Connection]:
    """The connections that can be read, within so many seconds."""
    for number, _ in poll.poll(seconds):
        yield connections[number]


def open_all(port: int, count: int) -> tuple[select.epoll, dict[int, Connection]]:
    """So many connections, and an epoll that watches them."""
    poll, buffer = select.epoll(), memoryview(bytearray(1 << 18))
    connections = {}
    for _ in range(count):
        connection = Connection(port, buffer)
        connections[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    return poll, connections


def bulk(port: int, target: str, count: int, total: int) -> dict[str, float]:
    """`total` requests over `count` connections, one after the other on each."""
    poll, connections = open_all(port, count)
    message = request(target)
    started = done = 0
    begin = time.monotonic()
    for connection in connections.values():
        if started < total:
            connection.send(message)
            started += 1
    while done < total:
        active = list(ready(poll, connections, PATIENCE))
        if not active:
            raise TimeoutError("no byte for a long time")
        for connection in active:
            if connection.receive():
                done += 1
                if started < total:
                    connection.send(message)
                    started += 1
    return {"requests": done, "seconds": time.monotonic() - begin}


def rate(port: int, count: int, per_second: int, seconds: float) -> dict[str, float]:
    """Requests at a fixed rate whatever the answers do. A request that finds no free connection waits, and its wait counts."""
    poll, connections = open_all(port, count)
    message = request(TARGET)
    free = list(connections.values())
    due_times: dict[int, float] = {}
    times: list[float] = []
    total, started = int(per_second * seconds), 0
    begin = time.monotonic()
    while len(times) < total:
        now = time.monotonic()
        while started < total and free and begin + started / per_second <= now:
            connection = free.pop()
            due_times[connection.fileno()] = begin + started / per_second
            connection.send(message)
            started += 1
        if now - begin > seconds + PATIENCE:
            raise TimeoutError("answers did not come")
        for connection in ready(poll, connections, 0):
            if connection.receive():
                times.append(time.monotonic() - due_times[connection.fileno()])
                free.append(connection)
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1e6 for share in (0.5, 0.99))
    return {"requests": total, "seconds": time.monotonic() - begin, "p50": p50, "p99": p99}


def idle(port: int, count: int) -> dict[str, float]:
    """Connections that each made one small request and stay open until standard input ends; counts those closed till then."""
    buffer, message = memoryview(bytearray(1 << 16)), request(TARGET)
    poll, connections = select.poll(), []
    for _ in range(count):
        connection = Connection(port, buffer)
        connections.append(connection)
        connection.socket.settimeout(PATIENCE)
        connection.send(message)
        while not connection.receive():
            pass
        poll.register(connection, select.POLLIN)
    print("open", flush=True)
    sys.stdin.read()
    return {"requests": count, "closed": len(poll.poll(0))}


def main(mode: str, port: str, *arguments: str) -> None:
    if mode == "bulk":
        result = bulk(int(port), arguments[0], int(arguments[1]), int(arguments[2]))
    elif mode == "rate":
        result = rate(int(port), int(arguments[0]), int(arguments[1]), float(arguments[2]))
    else:
        result = idle(int(port), int(arguments[0]))
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
