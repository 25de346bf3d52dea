import pytest

from headgate.wire.sniff import PROTOCOLS, looks_like

SAMPLES = [
    ("ssh", b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13\r\n"),
    ("ssh", b"SSH-1.99-Cisco-1.25\n"),
    ("tls", b"\x15\x03\x01\x00\x02\x02\x46"),
    ("tls", b"\x15\x03\x03\x00\x02\x02\x0a"),
    ("tls", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"),
    ("http2", bytes.fromhex("00001204000000000000030000008000040001000000050000ffffff")),
    ("http2", bytes.fromhex("000000040000000000")),
    ("http2", bytes.fromhex("0000080700000000000000000000000001")),
    ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("redis", b"-ERR wrong number of arguments for 'get' command\r\n"),
    ("redis", b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"),
    ("redis", b"-NOAUTH Authentication required.\r\n"),
    ("redis", b"+PONG\r\n"),
    ("redis", b"$-1\r\n"),
    ("mongodb", b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n"),
    ("imap", b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS] Dovecot ready.\r\n"),
    ("imap", b"* BYE too many connections\r\n"),
    ("pop3", b"+OK Dovecot ready.\r\n"),
    ("pop3", b"+OK POP3 server ready <1896.697170952@example.org>\r\n"),
    ("ftp", b"220 (vsFTPd 3.0.5)\r\n"),
    ("ftp", b"220 ProFTPD Server (Debian) [::ffff:10.0.0.1]\r\n"),
    ("ftp", b"220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n"),
    ("ftp", b"220-FileZilla Server 1.8.1\r\n"),
    ("ftp", b"530 Please login with USER and PASS. ftp\r\n"),
    ("smtp", b"220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n"),
    ("smtp", b"220 example.org\r\n"),
    ("smtp", b"554 5.7.1 rejected\r\n"),
    ("smtp", b"500 5.5.2 Error: bad syntax\r\n"),
    ("smtp", b"502 5.5.2 Error: command not recognized\r\n"),
    ("smtp", b"421 4.3.0 Service not available\r\n"),
    ("mysql", b"\x4a\x00\x00\x00\x0a8.0.36\x00\x0b\x00\x00\x00" + b"x" * 60),
    ("mysql", b"\x45\x00\x00\x00\xff\x6a\x04Host '10.0.0.9' is not allowed to connect to this MySQL server"),
    ("mysql", b"\x5b\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB\x00"),
    ("postgresql", b"E\x00\x00\x00\x8bSFATAL\x00VFATAL\x00C0A000\x00Munsupported frontend protocol"),
    ("postgresql", b"EFATAL:  unsupported frontend protocol 8245.18516: server supports 1.0 to 3.0\n\x00"),
    ("fastcgi", b"\x01\x06\x00\x01\x00\x10\x00\x00Status: 404\r\n"),
    ("fastcgi", b"\x01\x03\x00\x01\x00\x08\x00\x00" + bytes(8)),
    ("fastcgi", b"\x01\x0b\x00\x00\x00\x08\x00\x00G" + bytes(7)),
    ("uwsgi", b"\x00\x1f\x00\x00\x0e\x00REQUEST_METHOD\x03\x00GET"),
    ("html", b"<!DOCTYPE html><title>x</title>"),
    ("html", b"\r\n <HTML><head>"),
    ("html", b"<?xml version='1.0'?>"),
]


@pytest.mark.parametrize(("protocol", "first"), SAMPLES)
def test_each_protocol_by_what_real_servers_send(protocol: str, first: bytes) -> None:
    assert looks_like(first) == protocol


def test_every_protocol_has_a_sample() -> None:
    assert {name for name, _ in PROTOCOLS} == {name for name, _ in SAMPLES}


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"H",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 502 Bad Gateway\r\n",
        b"\0",
        b"\0" * 9,
        b"OK\r\n",
        b"200 OK\r\n",
        b"{}",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_nothing_is_said_about_bytes_that_could_be_anything(first: bytes) -> None:
    assert looks_like(first) is None
