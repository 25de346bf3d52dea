"""What a new version is given, and what it makes of it."""

import json
import os
import socket

import pytest

from headgate.config.load import from_data
from headgate.control.desired import Desired
from headgate.control.handover import Elder
from headgate.net.channel import Channel, Gone
from headgate.net.seat import write_state

DATA = {"upstream": {"app": {"servers": ["http://a:1", "http://b:1"]}}}


def told(**given):
    return {"HEADGATE_UPGRADE": json.dumps({"pid": 7, **given}), "OTHER": "1"}


def test_who_follows_nobody_has_nothing_and_tells_nobody():
    elder = Elder.of({})
    assert (elder.pid, elder.take("127.0.0.1:80"), elder.servers(from_data(DATA, "/"))) == (0, [], {})
    elder.let_go()
    assert elder.ready()
    elder.failed("anything")


def test_sockets_are_taken_by_their_address_and_the_rest_is_closed():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    fds = [sock.detach() for sock in sockets]
    for fd in fds:
        os.set_inheritable(fd, True)
    environment = told(sockets=[["a", fds[:2]], ["b", fds[2:3]], ["a", fds[3:]]])
    elder = Elder.of(environment)
    assert environment == {"OTHER": "1"}, "its children must not take it for theirs"
    first = elder.take("a")
    assert [sock.fileno() for sock in first] == fds[:2]
    assert not any(os.get_inheritable(fd) for fd in fds)
    second = elder.take("a")
    assert [sock.fileno() for sock in second] == fds[3:]
    assert elder.take("a") == elder.take("c") == []
    elder.let_go()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fds[2])
    for sock in first + second:
        sock.close()


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (lambda elder: elder.ready(), {"do": "ready"}),
        (lambda elder: elder.failed("x" * 100_000), {"do": "unusable", "why": "x" * 8000}),
    ],
)
def test_it_says_one_thing_once(say, heard):
    ours, theirs = Channel.pair()
    elder = Elder.of(told(channel=theirs.sock.detach()))
    say(elder)
    elder.ready()
    assert ours.receive() == (heard, [])
    with pytest.raises(Gone):
        ours.receive()
    ours.close()


def test_an_elder_that_is_gone_is_no_trouble():
    ours, theirs = Channel.pair()
    elder = Elder.of(told(channel=theirs.sock.detach()))
    ours.close()
    assert not elder.ready()
    assert elder.ready(), "told once"


def test_what_is_known_of_the_servers_goes_on():
    old = Desired(3, DATA, "/", from_data(DATA, "/"), {})
    old.standings.of["app"]["http://a:1"].health.hear("drain", "so said", 1.0)
    old.standings.of["app"]["http://b:1"].health.hear("drain", "so said", 1.0)
    config = from_data({"upstream": {"app": {"servers": ["http://a:1", "http://c:1"]}}}, "/")
    elder = Elder.of(told(present=write_state(old.state())))
    servers = elder.servers(config)["app"]
    assert {label: one["health"]["state"] for label, one in servers.items()} == {"http://a:1": "draining", "http://c:1": "up"}
    assert elder.servers(config) == {}


@pytest.mark.parametrize(
    "state", [{}, {"version": 1}, {"version": 1, "data": {"news": 1}, "folder": "/", "gauges": {}, "servers": {}}]
)
def test_a_state_that_another_version_wrote_is_left_alone(state):
    elder = Elder.of(told(present=write_state(state)))
    assert elder.servers(from_data(DATA, "/")) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", '{"pid": "x"}', '{"sockets": 3}', '{"sockets": [["a", [99999]]]}', '{"channel": 99999}']
)
def test_nonsense_in_the_environment(text):
    with pytest.raises(ValueError, match="HEADGATE_UPGRADE in the environment makes no sense"):
        Elder.of({"HEADGATE_UPGRADE": text})
