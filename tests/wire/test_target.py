import pytest

from headgate.wire.target import HOSTS, read_host, read_target, resolve_dots


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        (b"/", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/.", b"/"),
        (b"/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/../../a", b"/a"),
        (b"/a/b/c/./../../g", b"/a/g"),
        (b"/mid/content=5/../6", b"/mid/6"),
        (b"/%2e/a", b"/a"),
        (b"/a/%2E./b", b"/b"),
        (b"/a/.%2e", b"/"),
        (b"/a/%2e%2E/%2e%2e/b", b"/b"),
        (b"//../a", b"/a"),
        (b"/a//../b", b"/a/b"),
        (b"/a//b/..//c", b"/a///c"),
        (b"/.hidden", b"/.hidden"),
        (b"/...", b"/..."),
        (b"/a%2e", b"/a%2e"),
        (b"/%2e%2ea", b"/%2e%2ea"),
        (b"/..%2fa", b"/..%2fa"),
        (b"/a/..;x/b", b"/a/..;x/b"),
        (b"/a/%252e%252e/b", b"/a/%252e%252e/b"),
        (b"/%2fa", b"/%2fa"),
    ],
)
def test_only_dot_segments_are_resolved(path: bytes, resolved: bytes) -> None:
    assert resolve_dots(path) == resolved
    assert resolve_dots(resolved) == resolved


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"a", b"a"),
        (b"Example.ORG", b"example.org"),
        (b"example.org.", b"example.org."),
        (b"my_service-1:3000", b"my_service-1:3000"),
        (b"a:", b"a"),
        (b"a:0", b"a:0"),
        (b"a:65535", b"a:65535"),
        (b"127.0.0.1:80", b"127.0.0.1:80"),
        (b"[::1]", b"[::1]"),
        (b"[2001:DB8::1]:443", b"[2001:db8::1]:443"),
        (b"[::ffff:1.2.3.4]:", b"[::ffff:1.2.3.4]"),
    ],
)
def test_hosts_in_canonical_form(value: bytes, host: bytes) -> None:
    assert read_host(value) == host
    assert read_host(host) == host
    assert HOSTS[value] == host


@pytest.mark.parametrize(
    ("method", "target", "offset"),
    [
        (b"GET", b"*", 0),
        (b"GET", b"", 0),
        (b"GET", b"/a#b", 2),
        (b"GET", b"/a\x80b\x01", 2),
        (b"GET", b"mailto:a", 0),
        (b"OPTIONS", b"*a", 0),
    ],
)
def test_illegal_targets_are_blamed_at_their_first_illegal_byte(method: bytes, target: bytes, offset: int) -> None:
    assert read_target(method, target) == offset
