"""Stand-ins for what differs between runs keep each product's format."""

from pathlib import Path

import pytest

from headgate.lab.layout import Layout
from headgate.lab.scenario import load_scenarios
from headgate.lab.settings import Setting
from headgate.lab.stable import stable

ALL = load_scenarios()
SETTING = Setting(Layout(ALL, 41_000, Path("/tmp/x")), (), 45_678, Path("/tmp/x/nginx"))
PORT = SETTING.layout.ports("healthy")[0]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2031/01/02 03:04:05 [error] 77#78: *9 connect()", "2026/11/21 12:00:00 [error] 1234#1234: *1 connect()"),
        ("[02/Jan/2031:03:04:05 +0000] x", "[21/Nov/2026:12:00:00 +0000] x"),
        ("[Thu Jan 02 03:04:05.678901 2031] [pid 7:tid 8]", "[Sat Nov 21 12:00:00.000000 2026] [pid 1234:tid 1234]"),
        ("<134>Jan  2 03:04:05 haproxy[77]: y", "Nov 21 12:00:00 lab haproxy[1234]: y"),
        ("[2031-01-02T03:04:05.678Z]", "[2026-11-21T12:00:00.000Z]"),
        ("1793000000.123    701 127.0.0.1", "1795262400.000    701 127.0.0.1"),
        ("client: 127.0.0.1:39999", "client: 127.0.0.1:50001"),
        (f"127.0.0.1:{PORT} 127.0.0.1:45678", "127.0.0.1:19001 127.0.0.1:18080"),
        ("lab=lab-0123456789ab", "lab=lab-000000000001"),
        ("/tmp/x/nginx/a /tmp/x/b", "/srv/gateway/a /srv/lab/b"),
        ("X-Varnish: 65602\r\n", "X-Varnish: 33333\r\n"),
        ("status 502, 3194 bytes", "status 502, 3194 bytes"),
    ],
)
def test_stand_ins(said: str, kept: str) -> None:
    assert stable(said, SETTING, ALL["healthy"]) == kept
