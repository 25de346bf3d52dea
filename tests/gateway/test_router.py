"""The router gives what a naive reading of the documented order gives."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.config import schema
from headgate.gateway.router import Miss, Route, Router
from headgate.model.signals import METHOD_NOT_ALLOWED, NO_ROUTE

HEAD = b"GET / HTTP/1.1\r\nHost: example.org\r\nX-Version: 2\r\nX-Beta: yes\r\n\r\n"


def routes(*tables):
    return [schema.Route.model_validate({"name": str(number), "upstream": "u", **table}) for number, table in enumerate(tables)]


def matched(tables, host="example.org", path="/", method="GET", head=HEAD):
    found = Router(routes(*tables)).match(host.encode(), path.encode(), method.encode(), head)
    return int(found.name) if isinstance(found, Route) else (found.signal, found.allow)


MISS = (NO_ROUTE, "")


@pytest.mark.parametrize(
    ("prefix", "fits", "does_not"),
    [
        ("", ["/", "/x", "*", ""], []),
        ("/", ["/", "/x", "//", "*"], []),
        ("/api", ["/api", "/api/", "/api/x", "/api//"], ["/apix", "/ap", "/", "/x/api"]),
        ("/api/", ["/api/", "/api/x"], ["/api", "/apix/"]),
        ("/a/b", ["/a/b", "/a/b/c/d"], ["/a", "/a/bc"]),
    ],
)
def test_a_prefix_fits_whole_segments(prefix, fits, does_not):
    for path in fits:
        assert matched([{"path": prefix}], path=path) == 0, path
    for path in does_not:
        assert matched([{"path": prefix}], path=path) == MISS, path


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (
            "example.org",
            ["example.org", "example.org:8080", "example.org.", "example.org.:80"],
            ["www.example.org", "example.or", ""],
        ),
        ("example.org:8080", ["example.org:8080"], ["example.org", "example.org:80"]),
        (
            "*.example.org",
            ["a.example.org", "a.b.example.org:1"],
            ["example.org", "aexample.org", ".example.org", "a.example.org.x"],
        ),
        ("*.example.org:81", ["a.example.org:81"], ["a.example.org", "a.example.org:82"]),
        ("[::1]", ["[::1]", "[::1]:80"], ["::1", "[::2]"]),
        ("[::1]:80", ["[::1]:80"], ["[::1]"]),
        ("127.0.0.1", ["127.0.0.1", "127.0.0.1:9"], ["127.0.0.2"]),
    ],
)
def test_a_host_fits_with_and_without_port(pattern, fits, does_not):
    for host in fits:
        assert matched([{"host": pattern}], host=host) == 0, host
    for host in does_not:
        assert matched([{"host": pattern}], host=host) == MISS, host


@pytest.mark.parametrize(
    "path", ["/admin", "/%61dmin", "//admin", "/x/..//admin/y", "/admin%2Fusers", "/%2e/admin", "/x%2F..%2Fadmin", "/admin/%zz"]
)
def test_another_spelling_does_not_pass_by_a_route(path):
    assert matched([{}, {"path": "/admin"}], path=path) == 1


@pytest.mark.parametrize("path", ["/%2561dmin", "/admin2", "/x%252F../admin2", "/%C3%A4dmin"])
def test_paths_are_decoded_once(path):
    assert matched([{}, {"path": "/admin"}], path=path) == 0


def test_paths_may_be_written_decoded_or_not():
    for written in ("/größe", "/gr%C3%B6%c3%9fe"):
        assert matched([{"path": written}], path="/gr%C3%B6%C3%9Fe/x") == 0
    assert matched([{"path_regex": "/gr.{2}e"}], path="/gr%C3%B6%C3%9Fe") == 0
    assert matched([{"path_exact": "/%ff"}], path="/%FF") == 0


ORDERED = [
    {"host": "example.org:80"},
    {"host": "example.org", "path_exact": "/api/v1/x"},
    {"host": "example.org", "path_regex": "/.*/x", "methods": ["GET"]},
    {"host": "example.org", "path_regex": "/.*/x"},
    {"host": "example.org", "path": "/api/v1"},
    {"host": "example.org", "path": "/api", "headers": {"x-version": "2", "x-beta": "*"}},
    {"host": "example.org", "path": "/api", "headers": {"x-version": "2"}, "methods": ["GET"]},
    {"host": "example.org", "path": "/api", "headers": {"x-version": "2"}},
    {"host": "example.org", "path": "/api", "methods": ["GET"]},
    {"host": "example.org", "path": "/api"},
    {"host": "example.org"},
    {"host": "*.org:80", "path": "/api"},
    {"host": "*.org", "path_exact": "/api/v1/x"},
    {"path_exact": "/api/v1/x"},
    {"path": "/api"},
    {},
]


@pytest.mark.parametrize("number", range(len(ORDERED)))
def test_the_most_specific_comes_first_whatever_the_order_in_the_file(number):
    left = ORDERED[number:]
    assert matched(left[::-1], "example.org:80", "/api/v1/x") == len(left) - 1


def test_distinct_regexes_stand_in_file_order_and_the_same_one_by_its_headers():
    tables = [
        {"path_regex": "/a.*"},
        {"path_regex": "/.*", "headers": {"x-beta": "yes"}},
        {"path_regex": "/a.*", "methods": ["GET"]},
    ]
    assert matched(tables, path="/abc") == 2
    assert matched(tables, path="/abc", method="PUT") == 0
    assert matched(tables, path="/b") == 1


def test_a_regex_comes_before_any_prefix_and_fits_the_whole_path():
    tables = [{"path": "/"}, {"path": "/static/deep"}, {"path_regex": r"/.*\.(png|css)"}]
    assert matched(tables, path="/static/deep/a.png") == 2
    assert matched(tables, path="/static/deep/a.png/x") == 1
    assert matched(tables, path="/a.html") == 0


def test_a_less_specific_route_takes_what_the_more_specific_one_leaves():
    tables = [{"host": "example.org", "path": "/api"}, {"path": "/other"}, {"host": "*.org"}]
    assert matched(tables, path="/other") == 2
    assert matched([{"host": "example.org", "path": "/api"}, {"path": "/other"}], path="/other") == 1


def test_methods():
    tables = [{"path": "/a", "methods": ["POST", "PUT"]}, {"path": "/", "methods": ["PUT", "DELETE"]}]
    assert matched(tables, path="/a/b", method="GET") == (METHOD_NOT_ALLOWED, "POST, PUT, DELETE")
    assert matched(tables, path="/b", method="GET") == (METHOD_NOT_ALLOWED, "PUT, DELETE")
    assert matched(tables, path="/a", method="DELETE") == 1
    assert matched(tables[:1], path="/b", method="GET") == MISS


def test_headers():
    assert matched([{"headers": {"X-Version": "2"}}]) == 0
    assert matched([{"headers": {"x-version": "3"}}]) == MISS
    assert matched([{"headers": {"x-none": "*"}}]) == MISS
    assert matched([{"headers": {"x-beta": "*", "x-version": "*"}}]) == 0


def test_no_routes_at_all():
    assert matched([]) == MISS


def test_what_the_gateway_reads_from_a_route():
    (table,) = routes(
        {"name": "", "host": "a.org", "path": "/x", "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"], "maintenance": True}
    )
    route = Router([table]).match(b"a.org", b"/x", b"GET", b"")
    assert isinstance(route, Route)
    assert (route.name, route.upstream, route.maintenance) == ("a.org/x", "u", True)
    assert [str(network) for network in (*route.allow, *route.deny)] == ["10.0.0.0/8", "10.1.0.0/16"]


def test_remembered_hosts_stay_bounded():
    router = Router(routes({"host": "*.example.org"}, {}))
    for number in range(3000):
        assert router.match(b"h%d.example.org" % number, b"/", b"GET", b"").name == "0"
        assert router.match(b"%d." % number * 2000, b"/", b"GET", b"").name == "1"
    assert len(router._memo) <= 1024
    assert max(map(len, router._memo)) < 300
    assert len(router._tables) == 2


# The reference: every route is scored, the best one wins.


def host_score(pattern, host):
    name, _, port = host.partition(":")
    wanted, _, wanted_port = pattern.partition(":")
    if wanted_port and wanted_port != port:
        return None
    if not wanted:
        return (0, 0, 0)
    if wanted.startswith("*."):
        return (1, len(wanted), bool(wanted_port)) if name.endswith(wanted[1:]) and name != wanted[1:] else None
    return (2, 0, bool(wanted_port)) if name == wanted else None


def path_score(route, path, regexes):
    if route.path_exact is not None:
        return (3, 0) if path == route.path_exact else None
    if route.path_regex is not None:
        return (2, -regexes.index(route.path_regex)) if re.fullmatch(route.path_regex, path) else None
    if not route.path:
        return (0, 0)
    prefix = route.path
    fits = path.startswith(prefix) if prefix.endswith("/") else path == prefix or path.startswith(prefix + "/")
    return (1, len(prefix)) if fits else None


def reference(tables, host, path, method, fields):
    regexes = [route.path_regex for route in tables]
    scores, allowed = [], set()
    for number, route in enumerate(tables):
        by_host, by_path = host_score(route.host, host), path_score(route, path, regexes)
        if (
            by_host is None
            or by_path is None
            or any(fields.get(n) != v and (v != "*" or n not in fields) for n, v in route.headers.items())
        ):
            continue
        if route.methods and method not in route.methods:
            allowed |= set(route.methods)
            continue
        scores.append((by_host, by_path, len(route.headers), bool(route.methods), -number))
    if scores:
        return -max(scores)[-1]
    return (METHOD_NOT_ALLOWED, allowed) if allowed else (NO_ROUTE, set())


segments = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4)
paths = st.builds(lambda parts, slash: "/" + "/".join(parts) + slash * bool(parts), segments, st.sampled_from(["", "/"]))
hosts = st.sampled_from(["a.org", "x.a.org", "y.x.a.org", "b.org"])
ports = st.sampled_from(["", ":80", ":81"])
header_values = st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from(["1", "2"]))


@st.composite
def tables(draw):
    table = {}
    pattern = draw(st.sampled_from(["", "a.org", "x.a.org", "*.a.org", "*.org", "*.x.a.org"]))
    table["host"] = pattern + (draw(ports) if pattern else "")
    kind = draw(st.sampled_from(["path", "path", "path_exact", "path_regex", "none"]))
    if kind == "path_regex":
        table[kind] = draw(st.sampled_from(["/.*", "/a.*", "/.*b", "/a/[^/]*"]))
    elif kind != "none":
        table[kind] = draw(paths)
    table["methods"] = draw(st.lists(st.sampled_from(["GET", "PUT", "POST"]), max_size=2, unique=True))
    table["headers"] = draw(st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from(["1", "2", "*"])))
    return table


@settings(max_examples=400, deadline=None)
@given(
    st.lists(tables(), max_size=8),
    st.lists(st.tuples(hosts, ports, paths, st.sampled_from(["GET", "PUT", "TRACE"]), header_values), max_size=6),
)
def test_it_equals_the_reference(given_tables, requests):
    configured = routes(*given_tables)
    router = Router(configured)
    for host, port, path, method, fields in requests:
        head = "".join(
            ["GET / HTTP/1.1\r\n", *(f"{name.title()}: {value}\r\n" for name, value in fields.items()), "\r\n"]
        ).encode()
        found = router.match((host + port).encode(), path.encode(), method.encode(), head)
        expected = reference(configured, host + port, path, method, fields)
        if isinstance(found, Miss):
            assert (found.signal, set(filter(None, found.allow.split(", ")))) == expected
        else:
            assert int(found.name) == expected
