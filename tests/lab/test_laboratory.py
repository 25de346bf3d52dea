"""Starting, ordering about and stopping a whole lab."""

import asyncio
import socket
from pathlib import Path

import pytest

from headgate.lab.laboratory import LabError, order, start_lab
from headgate.lab.layout import Layout


def test_orders(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { answer = "x" }]]'))
    with socket.create_connection(("127.0.0.1", one.lab.layout.ports("mine")[0]), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while sock.recv(100):
            pass
    assert asyncio.run(order(one.lab.layout, "seen", "mine")) == {"connections": 1, "requests": 1}
    assert asyncio.run(order(one.lab.layout, "reset", "mine")) == {"connections": 0, "requests": 0}


def test_an_unknown_scenario_is_refused(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("place = 'closed'"))
    with pytest.raises(LabError, match="no scenario is called 'other'"):
        asyncio.run(order(one.lab.layout, "seen", "other"))


def test_no_lab_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="start one with: headgate lab"):
        asyncio.run(order(Layout({}, 1, tmp_path), "seen", "mine"))


def test_a_port_in_use_is_one_sentence(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("place = 'closed'"))
    layout = one.lab.layout
    with pytest.raises(LabError, match=f"the lab cannot start at port {layout.base}: Address already in use; is another lab"):
        asyncio.run(start_lab(layout.scenarios, layout.folder, layout.base))


def test_after_stop_nothing_listens(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("upstream = [[{ stall = 5 }]]"))
    one.run(one.lab.stop())
    for port in (*one.lab.layout.ports("mine"), one.lab.layout.base):
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", port)) != 0
