"""What the clients of the benchmark send, as browsers do, and how one answer is read to check it."""

import socket
import zlib
from dataclasses import dataclass

HEADERS = {
    "Host": "shop.example.org",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://shop.example.org/category/garden?page=2",
    "Connection": "keep-alive",
    "Cookie": "session=0f6a2c51d98e4b7790a3c4e5f6071829; theme=dark; _ga=GA1.2.1234567890.1699999999",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "X-Request-Id": "7c2d91e04b5f4f0aa6d3c1b2e8f70915",
}
"""13 header lines of about 600 bytes."""

BLOCK = bytes(range(256)) * 256
"""64 KiB of which the large bodies are made."""

TARGET = "/shop/item/4711-1?ref=a1b2c3d4e5f6&page=17"


def block_crc(size: int) -> int:
    """CRC-32 of a large body of so many bytes."""
    crc = 0
    for _ in range(size // len(BLOCK)):
        crc = zlib.crc32(BLOCK, crc)
    return crc


@dataclass(frozen=True)
class Answer:
    """One response: status, number of header lines, bytes of body and their CRC-32."""

    status: int
    headers: int
    body: int
    crc: int


def request(target: str) -> bytes:
    """A whole GET request."""
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in HEADERS.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_head(head: bytes) -> tuple[int, int, int]:
    """(status, number of header lines, Content-Length) of a response head without its empty line; -1: no length given."""
    lines = head.split(b"\r\n")
    length = -1
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(lines[0].split()[1]), len(lines) - 1, length


def ask(port: int, target: str) -> Answer:
    """Send one request on a connection of its own and read the answer whole. OSError or ValueError when that fails."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(request(target))
        data = bytearray()
        while b"\r\n\r\n" not in data:
            received = sock.recv(65536)
            if not received:
                raise ValueError("closed before the end of the response head")
            data += received
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        status, headers, length = read_head(head)
        count, crc = len(body), zlib.crc32(body)
        while count < length:
            received = sock.recv(1 << 20)
            if not received:
                raise ValueError(f"closed after {count} of {length} bytes")
            count, crc = count + len(received), zlib.crc32(received, crc)
        return Answer(status, headers, count, crc)
