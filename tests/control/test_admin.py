"""The admin API as an operator uses it: real gateways, real sockets, each action and each mistake."""

import os
import signal
import socket
import stat
import time
from urllib.parse import quote

import psutil
import pytest
from pydantic import TypeAdapter

from headgate.control.answers import Status


def act(server, action):
    return f"/api/upstreams/app/servers/{quote(server.url, safe='')}/{action}"


# What is told.


def test_the_status_tells_of_processes_counts_and_servers(shared, origins):
    for _ in range(10):
        assert shared.get() == 200
    shared.until(lambda: shared.status()["totals"]["exchanges"] >= 10)
    status = shared.status()
    TypeAdapter(Status).validate_python(status)
    gateway, workers = status["gateway"], status["workers"]
    assert (gateway["pid"], gateway["file"], gateway["configuration"]) == (shared.pid, str(shared.file), 1)
    assert 0 < gateway["uptime"] <= time.time() - gateway["started"] + 1
    assert (gateway["draining"], gateway["reload"], gateway["upgrade"]) == (False, None, None)
    assert [worker["slot"] for worker in workers] == [0, 1]
    assert {worker["pid"] for worker in workers} < {child.pid for child in psutil.Process(shared.pid).children()}
    assert all(worker["linked"] and worker["heard"] < 10 and worker["version"] == 1 for worker in workers)
    app = status["upstreams"]["app"]
    assert [server["url"] for server in app["servers"]] == [origin.url for origin in origins]
    assert sum(server["requests"] for server in app["servers"]) == app["requests"] == status["totals"]["exchanges"]
    for server in app["servers"]:
        assert (server["state"], server["usable"], server["weight"], server["failed"]) == ("up", True, 1, 0)


def test_failures_and_refusals_are_told_by_cause(start):
    gateway = start(upstream="max_requests = 9\nbreaker = {}\nqueue = {}\nadaptive = {}")
    gateway.file.write_text(gateway.file.read_text().replace("servers = [", 'servers = ["http://127.0.0.1:1", '))
    gateway.ask("POST", "/api/reload")
    assert [gateway.get() for _ in range(20)] == [200] * 20
    with socket.create_connection(("127.0.0.1", gateway.port())) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in client.recv(1000)
    gateway.until(lambda: gateway.status()["totals"]["refusals"])
    gateway.until(lambda: gateway.status()["totals"]["failures"])
    status = gateway.status()
    assert status["totals"]["failures"].keys() == {"connection-refused"}
    assert status["totals"]["refusals"] == {"request-malformed": 1}
    app = status["upstreams"]["app"]
    assert app["servers"][0]["failed"] == status["totals"]["failures"]["connection-refused"]
    gate = app["gate"]
    assert (gate["under_way"], gate["waiting"], gate["circuit"]) == (0, 0, "closed")
    assert gate["adaptive_limit"] > 0


def test_checks_tell_what_they_saw(start):
    gateway = start(upstream='health = { path = "/", interval = "1s", timeout = "900ms" }')
    gateway.until(lambda: all(one["check"]["ok"] for one in gateway.status()["upstreams"]["app"]["servers"]))
    gateway.until(lambda: gateway.status()["upstreams"]["app"]["servers"][0]["state"] == "up")
    server = gateway.status()["upstreams"]["app"]["servers"][0]
    assert "GET / answered 200" in server["check"]["text"]
    assert [(change["was"], change["now"], change["event"]) for change in server["changes"]] == [
        ("unchecked", "up", "check-passed")
    ]


# What may be done to servers.


@pytest.mark.parametrize(("action", "state"), [("drain", "draining"), ("maintenance", "maintenance")])
def test_a_server_is_taken_out_and_brought_back(shared, origins, action, state):
    out, other = origins
    answer = shared.ask("POST", act(out, action), {"why": "new disk"})
    assert answer.status == 200
    assert (answer.json["url"], answer.json["state"], answer.json["why"]) == (out.url, state, "new disk")
    time.sleep(0.1)  # until the workers have heard
    before, seen = out.asked, other.asked
    assert [shared.get() for _ in range(10)] == [200] * 10
    assert (out.asked, other.asked) == (before, seen + 10)
    assert f"app: {out.url} is {state}: new disk" in shared.errors()
    back = shared.ask("POST", act(out, "ready")).json
    assert (back["state"], back["why"]) == ("up", "told by an administrator: ready")
    assert [change["now"] for change in back["changes"]][-2:] == [state, "up"]
    shared.until(lambda: shared.get() == 200 and out.asked > before)


def test_an_ejection_ends_by_itself_or_by_restore(shared, origins):
    out = origins[0]
    answer = shared.ask("POST", act(out, "eject"), {"seconds": 0.5, "why": "it lies"})
    assert (answer.json["state"], answer.json["why"]) == ("ejected", "it lies")
    assert 0 < answer.json["until"] - time.time() <= 0.5
    shared.until(lambda: shared.server(out.url)["state"] == "up")
    assert shared.ask("POST", act(out, "eject"), {"seconds": 600}).json["state"] == "ejected"
    restored = shared.ask("POST", act(out, "restore"), {}).json
    assert (restored["state"], restored["until"]) == ("up", None)


def test_a_weight_holds_for_new_requests(start, origins):
    gateway = start(upstream='policy = "round-robin"')
    assert gateway.ask("PUT", act(origins[0], "weight"), {"weight": 1000}).json["weight"] == 1000
    time.sleep(0.1)
    before = origins[0].asked
    assert [gateway.get() for _ in range(20)] == [200] * 20
    assert origins[0].asked - before >= 18
    assert gateway.server(origins[0].url)["weight"] == 1000


def test_what_was_told_outlives_the_control_process(start, origins):
    gateway = start()
    gateway.ask("POST", act(origins[0], "maintenance"), {"why": "new disk"})
    control = gateway.control()
    os.kill(control, signal.SIGKILL)
    gateway.until(lambda: not psutil.pid_exists(control))
    gateway.until(lambda: answers(gateway))
    assert gateway.control() != control
    server = gateway.server(origins[0].url)
    assert (server["state"], server["why"]) == ("maintenance", "new disk")


def test_a_port_is_taken_again_by_the_next_control_process(start):
    gateway = start(gateway='admin = { listen = "127.0.0.1:0" }')
    port = gateway.admin_port()
    assert gateway.stop() == 0
    fixed = start(gateway=f'admin = {{ listen = "127.0.0.1:{port}" }}')
    fixed.says(f"note admin API on 127.0.0.1:{port}\n")
    workers = {worker["pid"] for worker in fixed.ask("GET", "/api/status", port=port).json["workers"]}
    control = next(child.pid for child in psutil.Process(fixed.pid).children() if child.pid not in workers)
    with socket.create_connection(("127.0.0.1", port)):  # its end stays in the kernel for a while
        os.kill(control, signal.SIGKILL)
        fixed.until(lambda: not psutil.pid_exists(control))
    fixed.until(lambda: answers(fixed, port))
    assert fixed.get() == 200


def answers(gateway, port=0):
    try:
        return gateway.ask("GET", "/api/status", port=port).status == 200
    except OSError:
        return False


def test_nothing_stays_when_the_parent_is_killed(start):
    gateway = start()
    gateway.status()
    children = psutil.Process(gateway.pid).children()
    gateway.process.kill()
    gateway.process.wait(20)
    assert psutil.wait_procs(children, 20)[1] == []
    assert not gateway.socket.exists()


def test_control_characters_reach_neither_log_nor_terminal(shared, origins):
    why = "red \x1b[31m\r\n2026-01-01 note forged"
    told = shared.ask("POST", act(origins[0], "drain"), {"why": why}).json["why"]
    shared.ask("POST", act(origins[0], "ready"))
    assert told.isprintable()
    assert "\x1b" not in shared.errors()
    assert "\n2026-01-01" not in shared.errors()


# Mistakes: a sentence, and nothing changed.

DRAIN, EJECT, WEIGHT = "{server}/drain", "{server}/eject", "{server}/weight"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/api/upstreams/shop", None, 404, 'no upstream is called "shop"; there are app'),
        ("POST", "/api/upstreams/shop/servers/a/drain", {}, 404, 'no upstream is called "shop"; there are app'),
        ("POST", "/api/upstreams/app/servers/http%3A%2F%2Fa:1/drain", {}, 404, 'has no server "http://a:1"; it has http://127'),
        (
            "PUT",
            "/api/upstreams/app/servers/http://a:1/weight",
            {"weight": 1},
            404,
            'has no server "http://a:1"; it has http://127',
        ),
        ("POST", "/api/upstreams/app/servers/http://a:1/eject", {"seconds": 1}, 404, "it has http://127"),
        ("POST", EJECT, {}, 422, 'seconds is missing: for example {"seconds": 60}'),
        ("POST", EJECT, None, 422, "a JSON object is needed"),
        ("POST", EJECT, {"seconds": 0}, 422, "seconds: input should be greater than 0"),
        ("POST", EJECT, {"seconds": 1e9}, 422, "seconds: input should be less than or equal to 604800"),
        ("POST", EJECT, {"seconds": "soon"}, 422, "seconds: input should be a valid number"),
        ("POST", EJECT, float("nan"), 422, "the body: "),
        ("POST", EJECT, {"seconds": float("inf")}, 422, "seconds: "),
        ("POST", EJECT, {"seconds": float("nan")}, 422, "seconds: "),
        ("POST", EJECT, {"seconds": 5, "why": "x" * 301}, 422, "why: string should have at most 300 characters"),
        ("POST", DRAIN, {"seconds": 5}, 422, "'seconds' is no key here"),
        ("POST", DRAIN, {"why": 5}, 422, "why: input should be a valid string"),
        ("POST", DRAIN, [], 422, "the body: "),
        ("PUT", WEIGHT, {"weight": 0}, 422, "weight: input should be greater than or equal to 1"),
        ("PUT", WEIGHT, {"weight": 1001}, 422, "weight: input should be less than or equal to 1000"),
        ("PUT", WEIGHT, {"weight": "5"}, 422, "weight: input should be a valid integer"),
        ("PUT", WEIGHT, {"weight": 1.5}, 422, "weight: input should be a valid integer"),
        ("PUT", WEIGHT, {"weight": True}, 422, "weight: input should be a valid integer"),
        ("PUT", WEIGHT, {}, 422, 'weight is missing: for example {"weight": 5}'),
        ("POST", "{server}/destroy", {}, 404, "there is nothing at /api/upstreams/app/servers/"),
        ("GET", "/docs", None, 404, "GET /api/openapi.json lists"),
        ("GET", "/redoc", None, 404, "GET /api/openapi.json lists"),
        ("GET", "/nothing", None, 404, "there is nothing at /nothing"),
        ("DELETE", "/api/status", None, 415, "application/json"),
        ("POST", "/api/status", {}, 405, "POST is not for /api/status, which takes GET"),
        ("GET", "/api/reload", None, 405, "GET is not for /api/reload, which takes POST"),
        ("GET", "/api/stop", None, 405, "takes POST"),
    ],
)
def test_mistakes(shared, origins, method, path, body, status, words):
    before = shared.ask("GET", "/api/upstreams/app").json["servers"]
    answer = shared.ask(method, path.format(server=f"/api/upstreams/app/servers/{quote(origins[0].url)}"), body)
    assert (answer.status, words in answer.detail) == (status, True), answer.detail
    assert shared.ask("GET", "/api/upstreams/app").json["servers"] == before


@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff\xfe", b'{"seconds": 5', b"nonsense", b"[" * 30_000, b'{"a":' * 10_000],
    ids=["brace", "bytes", "cut", "word", "lists", "objects"],
)
def test_bodies_that_are_no_json(shared, origins, raw):
    answer = shared.ask("POST", act(origins[0], "eject"), raw=raw)
    assert answer.status == 400
    assert answer.detail
    assert shared.server(origins[0].url)["state"] == "up"


# The gateway as a whole.


def test_reload(start, origins):
    gateway = start()
    assert gateway.status()["gateway"]["configuration"] == 1
    gateway.file.write_text(gateway.file.read_text().replace("[upstream.app]", '[upstream.app]\npolicy = "round-robin"'))
    answer = gateway.ask("POST", "/api/reload")
    assert answer.status == 200
    assert f"configuration 2 of {gateway.file}" in answer.json["said"]
    status = gateway.status()
    assert status["upstreams"]["app"]["policy"] == "round-robin"
    assert {worker["version"] for worker in status["workers"]} == {2}
    assert (status["gateway"]["reload"]["ok"], status["gateway"]["reload"]["said"]) == (True, answer.json["said"])


@pytest.mark.parametrize("action", ["reload", "upgrade"])
def test_an_invalid_file_changes_nothing_and_every_reason_is_told(start, action):
    gateway = start()
    gateway.port()
    gateway.file.write_text(gateway.file.read_text().replace("[upstream.app]", '[upstream.app]\npolicy = "dice"\nweihgt = 5'))
    answer = gateway.ask("POST", f"/api/{action}")
    assert answer.status == 409
    assert "upstream.app.policy" in answer.detail
    assert "upstream.app.weihgt" in answer.detail
    status = gateway.status()
    assert status["gateway"]["configuration"] == 1
    assert status["gateway"]["upgrade"] is None
    if action == "reload":
        assert (status["gateway"]["reload"]["ok"], status["gateway"]["reload"]["said"]) == (False, answer.detail)
    assert gateway.get() == 200


def test_reopen(start):
    gateway = start(access="access.log")
    assert gateway.get() == 200
    log = gateway.folder / "access.log"
    gateway.until(lambda: log.read_text().count("\n") == 1)
    log.rename(gateway.folder / "old.log")
    assert gateway.ask("POST", "/api/reopen").status == 202
    gateway.until(log.exists)
    assert gateway.stop() == 0


def test_stop(start):
    gateway = start()
    gateway.port()
    assert gateway.ask("POST", "/api/stop").status == 202
    assert gateway.process.wait(20) == 0
    assert not gateway.socket.exists()


# Its socket.


def test_the_socket_is_for_its_owner_and_goes_with_the_gateway(start, run_folder):
    gateway = start()
    gateway.status()
    assert stat.S_IMODE(gateway.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(run_folder.stat().st_mode) == 0o700
    assert gateway.stop() == 0
    assert not gateway.socket.exists()


def test_sockets_of_killed_gateways_are_cleared_away(start, run_folder):
    dead, living = start(), start()
    dead.status()
    living.status()
    children = psutil.Process(dead.pid).children()
    for process in (*children, psutil.Process(dead.pid)):
        process.suspend()  # so that none of them clears up after the others
    for process in (*children, psutil.Process(dead.pid)):
        process.kill()
    dead.process.wait(20)
    psutil.wait_procs(children, 20)
    assert dead.socket.exists()
    other = run_folder / "999999999999.sock"
    other.write_text("no socket")
    following = start()
    following.status()
    assert not dead.socket.exists()
    assert living.status()["gateway"]["pid"] == living.pid
    assert other.read_text() == "no socket"
    other.unlink()


def test_a_folder_that_is_not_safe_is_not_used(start, run_folder, tmp_path):
    place = run_folder.parent / "elsewhere"
    place.mkdir()
    link = run_folder.parent / "link"
    link.symlink_to(place)
    open_to_all = run_folder.parent / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    file = run_folder.parent / "file"
    file.write_text("")
    for folder, words in (
        (link, "is a symbolic link"),
        (open_to_all, "others may write to"),
        (file, "is not a folder"),
        (run_folder.parent / "no" / "where", "cannot be made: No such file or directory"),
        (run_folder.parent / ("long" * 30), "AF_UNIX path too long"),
    ):
        gateway = start(folder)
        gateway.says("note no admin API")
        gateway.says(words)
        assert gateway.get() == 200
        assert gateway.stop() == 0
    assert list(place.iterdir()) == []


def test_off(start):
    gateway = start(gateway='admin = { listen = "off" }')
    assert gateway.get() == 200
    assert not gateway.socket.exists()
    assert gateway.stop() == 0


def test_a_socket_of_ones_own(start, run_folder):
    path = run_folder.parent / "own.sock"
    gateway = start(gateway=f'admin = {{ listen = "unix:{path}" }}')
    gateway.says(f"note admin API on unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = start(gateway=f'admin = {{ listen = "unix:{path}" }}')
    second.says(f"another process listens on unix:{path}")
    assert second.get() == 200
    assert gateway.stop() == 0
    second.says(f"note admin API on unix:{path}")
    assert second.stop() == 0
    assert not path.exists()


def test_a_file_in_its_place_is_left_alone(start, run_folder):
    path = run_folder.parent / "precious"
    path.write_text("data")
    gateway = start(gateway=f'admin = {{ listen = "unix:{path}" }}')
    gateway.says(f"note no admin API on unix:{path}: {path}: a file is there that is no socket")
    assert gateway.get() == 200
    assert gateway.stop() == 0
    assert path.read_text() == "data"
