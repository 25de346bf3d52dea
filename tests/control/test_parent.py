"""The parent with children that do what a test needs: it stays, whatever they do, and nothing of them stays when it is gone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate.control.child import LONGEST, Child, ending

PROMPT = 20.0
"""Seconds within which things have to happen: far more than they need, so that a busy machine fails nothing."""
PROGRAM = '''
import os, select, signal, socket, sys, time
from headgate.control import child, parent
from headgate.gateway.sockets import bind_shares
from headgate.net.channel import Channel, Gone
from headgate.net.journal import Journal
from headgate.net.seat import write_state

WORKERS = 2

def say(text):
    os.write(1, f"{text}\\n".encode())

def ready(seat):
    seat.channel.send({"do": "ready"})

def orders(seat):
    """Yield what the parent says, until it is gone."""
    while True:
        select.select([seat.channel], [], [], 10)
        try:
            got = seat.channel.receive()
        except Gone:
            return
        if got is not None:
            for fd in got[1]:
                os.close(fd)
            yield got[0]

def dutiful(seat):
    ready(seat)
    for message in orders(seat):
        if message["do"] in ("stop", "end"):
            say(f"{seat.slot} is told to {message['do']}")
            return 0
    say(f"{seat.slot} is alone")
    return 0

worker = control = dutiful

def successor():
    raise OSError(2, "no such program")

def started():
    say("started")

def before():
    pass

#PART#

before()
sockets = bind_shares("127.0.0.1:0", WORKERS)
say(f"port {sockets[0].getsockname()[1]}")
made = parent.Parent(
    [[sock] for sock in sockets], write_state({}), worker=lambda seat: worker(seat), control=lambda seat: control(seat),
    journal=Journal("stderr"), died=lambda slot: say(f"{slot} died"), started=started, failed=lambda why: say(f"failed: {why}"),
    successor=successor, drain=0.2,
)
code = made.run()
say("over")
sys.exit(code)
'''


class Family:
    """A parent with its children, in a process of their own."""

    def __init__(self, folder: Path, part: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            program = PROGRAM.replace("#PART#", part)
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        self.pid = self.process.pid

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def noted(self) -> str:
        return self._err.read_text()

    def says(self, text: str, times: int = 1) -> None:
        until(lambda: self.said.count(text) >= times, lambda: self.said + self.noted)

    def notes(self, text: str, times: int = 1) -> None:
        until(lambda: self.noted.count(text) >= times, lambda: self.said + self.noted)

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        return self.process.wait(PROMPT)


def until(condition: Callable[[], object], tell: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + PROMPT
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {tell()}"
        time.sleep(0.01)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    started: list[Family] = []

    def start(part: str = "", *, complete: bool = True) -> Family:
        started.append(Family(tmp_path, part))
        if complete:
            started[-1].says("started")
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.ends()


# The end.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_end_before_the_control_process(family, number):
    one = family()
    children = one.children()
    one.signal(number)
    assert one.ends() == 0
    said = one.said.split("started\n")[1].splitlines()
    assert sorted(said[:4]) == ["0 died", "0 is told to stop", "1 died", "1 is told to stop"]
    assert said[4:] == ["-1 is told to stop", "over"]
    assert gone(children)


def test_a_signal_for_the_whole_group_is_no_second_one(family):
    one = family("""
def worker(seat):
    signal.signal(signal.SIGTERM, lambda *_: say(f"{seat.slot} was signalled"))
    ready(seat)
    for message in orders(seat):
        if message["do"] == "stop":
            say(f"{seat.slot} is told to stop")
            time.sleep(0.3)
            return 0
""")
    os.killpg(one.pid, signal.SIGTERM)
    assert one.ends() == 0
    assert one.said.count("was signalled") == 2
    assert one.said.count("is told to stop") == 3, "the control process goes on until the workers have ended"
    assert "is told to end" not in one.said
    assert one.said.endswith("-1 is told to stop\nover\n")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT])
def test_children_heed_no_signal_that_is_for_the_parent(family, number):
    one = family()
    children = one.children()
    for pid in children:
        os.kill(pid, number)
    os.kill(children[0], signal.SIGTERM)  # the control process goes when it is told
    time.sleep(0.1)
    assert one.children() == children
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_a_second_signal_is_passed_on(family):
    one = family("""
def worker(seat):
    ready(seat)
    for message in orders(seat):
        say(f"{seat.slot} is told to {message['do']}")
        if message["do"] == "end":
            return 0
    return 0
""")
    one.signal(signal.SIGTERM)
    one.says("is told to stop", 2)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0
    assert one.said.count("is told to end") == 2


def test_workers_that_do_not_end_are_killed_and_summed_up_all_the_same(family):
    one = family("""
parent._MERCY = 0.3
def worker(seat):
    ready(seat)
    time.sleep(100)
""")
    one.signal(signal.SIGTERM)
    assert one.ends() == 0
    assert one.said.endswith("-1 is told to stop\nover\n")


def test_stopped_processes_do_not_hold_up_the_end(family):
    one = family("parent._MERCY = 0.3")
    for pid in one.children():
        os.kill(pid, signal.SIGSTOP)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0
    assert one.said.endswith("over\n")


def test_children_do_not_outlive_their_parent(family):
    one = family()
    children = one.children()
    one.process.kill()
    one.ends()
    until(lambda: gone(children))
    assert one.said.count("is alone") == 3


def test_a_signal_during_the_start_ends_it(family):
    one = family(
        """
def worker(seat):
    say("begins")
    time.sleep(100)
""",
        complete=False,
    )
    one.says("begins", 2)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0
    assert "started" not in one.said


# The start.


def test_a_start_that_fails_is_told_once_and_by_its_code(family):
    one = family(
        """
def worker(seat):
    seat.channel.send({"do": "unusable", "why": "cert.pem: no such file"})
    return 2
""",
        complete=False,
    )
    assert one.ends() == 2
    assert one.said.count("failed: cert.pem: no such file\n") == 1
    assert "started" not in one.said
    assert one.noted == ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9 (SIGKILL)"),
        ("return 0", "ended with code 0"),
        ("return 7", "ended with code 7"),
        ("raise RuntimeError('so it is')", "RuntimeError('so it is')"),
        ("sys.exit(3)", "SystemExit(3)"),
    ],
)
def test_a_start_that_fails_without_a_word(family, body, why):
    one = family(
        f"""
def control(seat):
    {body}
""",
        complete=False,
    )
    assert one.ends() == (7 if "7" in body else 70)
    assert one.said.count("failed: ") == 1
    assert why in one.said


def test_a_start_without_a_process_to_be_had(family):
    one = family(
        """
def before():
    forks = iter(range(2))
    fork = os.fork
    def limited():
        if next(forks, None) is None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()
    os.fork = limited
""",
        complete=False,
    )
    assert one.ends() == 1
    assert "BlockingIOError" in one.noted
    assert one.said.count("is alone") <= 2, "those that were started end too"


# Deaths.


def test_who_dies_is_started_again(family):
    one = family("child.STABLE = 0.0")
    for _ in range(2):
        before = one.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda before=before: len(set(one.children()) - set(before)) == 3)
    one.notes("was killed by signal 9 (SIGKILL) (out of memory? `dmesg` tells) after", 6)
    one.notes("it is started again at once", 6)
    one.says("0 died", 2)
    one.says("1 died", 2)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_fifty_deaths_leave_nothing_behind(family):
    one = family("child.STABLE = 0.0")

    def open_files() -> int:
        return len(list(Path(f"/proc/{one.pid}/fd").iterdir()))

    def memory() -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{one.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    def kill(count: int) -> None:
        for _ in range(count):
            pid = one.children()[0]
            deaths = one.noted.count("is started again")
            os.kill(pid, signal.SIGKILL)
            one.notes("is started again", deaths + 1)
            until(lambda: len(one.children()) == 3)

    kill(10)
    files, weight = open_files(), memory()
    kill(50)
    until(lambda: open_files() <= files)
    assert memory() < weight + 1000
    assert one.process.poll() is None


def test_who_dies_at_once_each_time_has_to_wait_longer_and_longer(family):
    one = family("""
import itertools
lives = itertools.count()
def started():
    say("started")
    say("now")
def worker(seat):
    ready(seat)
    if seat.slot == 0:
        for message in orders(seat):
            if message["do"] == "stop":
                return 0
    time.sleep(0.05)
    seat.channel.send({"do": "unusable", "why": "cert.pem: torn"})
    return 2
child.SHORTEST, child.LONGEST = 0.02, 0.1
""")
    one.notes("worker 1", 6)
    waits = re.findall(r"ended with code 2 after \d\.\d s: cert\.pem: torn; it is started again in (\S+) s", one.noted)
    assert waits[:6] == ["0.02", "0.04", "0.08", "0.1", "0.1", "0.1"]
    assert one.process.poll() is None
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_thousands_of_early_deaths_wait_no_longer_than_the_longest():
    child = Child(0, pid=1, born=100.0)
    waits = [child.ended(100.5) for _ in range(5000)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert max(waits) == waits[-1] == LONGEST
    assert child.ended(102.0) == 0.0, "a life that was long enough begins anew"
    assert child.ended(102.0 - 1.5) == 0.1


def test_a_worker_that_crashes_again_and_again_leaves_its_connections_to_the_others(family, tmp_path):
    one = family(f"""
child.SHORTEST = child.LONGEST = 0.1
def worker(seat):
    sock = seat.sockets[0]
    if seat.slot == 1 and os.path.exists({str(tmp_path / "sick")!r}):
        return 3
    sock.listen(100)
    ready(seat)
    while True:
        there, _, _ = select.select([sock, seat.channel], [], [], 10)
        if seat.channel in there:
            got = seat.channel.receive()
            if got and got[0]["do"] == "stop":
                return 0
        if sock in there:
            with sock.accept()[0] as connection:
                connection.sendall(b"%d" % seat.slot)
""")
    port = int(re.findall(r"port (\d+)", one.said)[0])

    def answers() -> set[bytes]:
        found = set()
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", port), PROMPT) as connection:
                found.add(connection.recv(10))
        return found

    assert answers() == {b"0", b"1"}
    (tmp_path / "sick").touch()
    os.kill(one.children()[2], signal.SIGKILL)
    one.notes("worker 1 ", 5)
    assert answers() == {b"0"}
    (tmp_path / "sick").unlink()
    until(lambda: answers() == {b"0", b"1"})


def test_what_cannot_be_started_now_is_tried_again(family):
    one = family("""
parent.LONGEST = 0.1
fork, pair = os.fork, Channel.pair
def started():
    say("started")
    troubles = iter([os, os, Channel])
    def fails(*_):
        if next(troubles, None) is None:
            os.fork, Channel.pair = fork, staticmethod(pair)
            return fork()
        raise BlockingIOError(11, "Resource temporarily unavailable")
    os.fork = fails
""")
    os.kill(one.children()[1], signal.SIGKILL)
    one.notes("worker 0 cannot be started: Resource temporarily unavailable; it is tried again in 0.1 s", 3)
    until(lambda: len(one.children()) == 3)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


# What children say.

NONSENSE = {
    "no JSON": 'seat.channel.sock.send(b"{{{")',
    "nested too deep": 'seat.channel.sock.send(b"[" * 60_000)',
    "no object": 'seat.channel.sock.send(b"[1]")',
    "too long": 'seat.channel.sock.send(b"x" * 100_000)',
    "unknown": 'seat.channel.send({"do": ["x"]})',
    "nothing": "seat.channel.send({})",
    "no time": 'seat.channel.send({"do": "drain", "seconds": "soon"})',
    "no number": 'seat.channel.send({"do": "drain", "seconds": float("nan")})',
    "negative": 'seat.channel.send({"do": "drain", "seconds": -1})',
    "nobody's slot": 'seat.channel.send({"do": "relink", "slot": 77})',
    "no slot": 'seat.channel.send({"do": "relink", "slot": None})',
    "no state": 'seat.channel.send({"do": "present"})',
    "no reason": 'seat.channel.send({"do": "unusable"})',
    "no path": 'seat.channel.send({"do": "log"})',
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_noted_and_survived(family, nonsense):
    one = family(f"""
def worker(seat):
    with open(os.devnull) as file:
        {nonsense}
    return dutiful(seat)
""")
    one.notes("worker 0", 1)
    assert re.search("a message between processes is not a JSON object|sent a message that makes no sense", one.noted)
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_descriptors_that_nobody_wants_are_closed(family):
    one = family("""
def worker(seat):
    for do in ("x", "ready", "drain", "relink") * 20:
        with open(os.devnull) as file:
            seat.channel.send({"do": do}, [file.fileno()] * 4)
        time.sleep(0.001)
    return dutiful(seat)
""")
    until(lambda: one.noted.count("makes no sense") >= 2 * 3 * 20)
    assert len(list(Path(f"/proc/{one.pid}/fd").iterdir())) < 20


def test_the_present_state_replaces_the_one_before(family):
    one = family("""
from headgate.net.seat import read_state
def control(seat):
    if read_state(seat.present):
        say(f"the state is {read_state(seat.present)}")
        return dutiful(seat)
    fd = write_state({"version": 7})
    seat.channel.send({"do": "present"}, [fd])
    return dutiful(seat)
""")
    os.kill(one.children()[0], signal.SIGKILL)
    one.says("the state is {'version': 7}")


def test_a_link_that_broke_is_made_anew_and_not_too_often(family):
    one = family("""
parent._RELINKS = 0.1
def control(seat):
    ready(seat)
    for message in orders(seat):
        if message["do"] == "stop":
            return 0
        if message["do"] == "worker":
            say(f"link {message['slot']}")
            for _ in range(5):
                seat.channel.send({"do": "relink", "slot": message["slot"], "pid": message["pid"]})
            seat.channel.send({"do": "relink", "slot": message["slot"], "pid": message["pid"] + 1})
            seat.channel.send({"do": "relink", "slot": -1, "pid": message["pid"]})
""")
    begun = time.monotonic()
    one.says("link 0\n", 5)
    one.says("link 1\n", 5)
    assert one.said.count("link") <= 2 * (2 + (time.monotonic() - begun + 5.0) / 0.1), "five requests are one link"
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_who_reads_nothing_gets_its_links_later(family):
    one = family("""
parent._RELINKS = child.STABLE = 0.0
pair = Channel.pair
def narrow():
    ends = pair()
    for end in ends:
        end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return ends
Channel.pair = staticmethod(narrow)
def control(seat):
    ready(seat)
    for message in orders(seat):
        say(f"link {message.get('slot')} {message.get('pid')}")
        if message["do"] == "stop":
            return 0
""")
    control = one.children()[0]
    os.kill(control, signal.SIGSTOP)
    for _ in range(20):
        worker = one.children()[-1]
        os.kill(worker, signal.SIGKILL)
        until(lambda worker=worker: worker not in one.children() and len(one.children()) == 3)
    os.kill(control, signal.SIGCONT)
    one.says(f" {one.children()[-1]}\n")
    assert one.said.count("link") < 20, "there was no room for all of them"


# Signals.


def test_a_storm_of_signals_hides_none(family):
    one = family("""
def worker(seat):
    signal.signal(signal.SIGUSR1, lambda *_: say("reopens"))
    return dutiful(seat)
def control(seat):
    signal.signal(signal.SIGHUP, lambda *_: say("reloads"))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return dutiful(seat)
""")
    one.signal(signal.SIGSTOP)
    os.kill(one.children()[1], signal.SIGKILL)
    one.signal(signal.SIGCONT)
    for _ in range(3000):
        one.signal(signal.SIGHUP)
        one.signal(signal.SIGUSR1)
        one.signal(signal.SIGUSR2)
    one.notes("is started again")
    one.says("reloads")
    one.says("reopens")
    assert one.process.poll() is None
    one.signal(signal.SIGTERM)
    assert one.ends() == 0


def test_signals_during_the_start_wait_until_all_are_ready(family):
    one = family("""
def slow(seat):
    said = []
    time.sleep(0.3)
    signal.signal(signal.SIGHUP, lambda *_: say(f"{seat.slot} reloads"))
    signal.signal(signal.SIGUSR1, lambda *_: say(f"{seat.slot} reopens"))
    return dutiful(seat)
worker = control = slow
def before():
    from headgate.control.signals import hold
    hold()
    for number in (signal.SIGHUP, signal.SIGUSR1):
        os.kill(os.getpid(), number)
""")
    one.says("-1 reloads")
    one.says("reopens", 3)
    assert one.process.poll() is None


# A new version.


def test_a_new_version_that_cannot_be_started(family):
    one = family()
    one.signal(signal.SIGUSR2)
    one.notes("the new version cannot be started: [Errno 2] no such program; this one goes on")
    assert len(one.children()) == 3


HEIR = """
def control(seat):
    ready(seat)
    for message in orders(seat):
        if message["do"] == "upgrade":
            say(f"control hears: {message['failed']} {message['said']}")
        if message["do"] == "stop":
            return 0
def successor():
    ours, theirs = Channel.pair()
    theirs.sock.set_inheritable(True)
    program = '''
import os, socket, sys, time
from headgate.net.channel import Channel
channel = Channel(socket.socket(fileno=int(sys.argv[1])))
%s
'''
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program, str(theirs.sock.fileno())], os.environ)
    theirs.close()
    return pid, ours
"""


def test_a_new_version_that_is_ready_ends_this_one_in_order(family):
    one = family(HEIR % 'channel.send({"do": "ready"}); time.sleep(5)')
    one.signal(signal.SIGUSR2)
    assert one.ends() == 0
    assert one.said.count("is told to stop") == 2
    assert "is told to end" not in one.said


def test_a_new_version_that_fails_says_why(family):
    one = family(HEIR % 'channel.send({"do": "unusable", "why": "gate.toml:3: no"}); os._exit(2)')
    for turn in range(2):
        one.signal(signal.SIGUSR2)
        one.notes("the new version ended with code 2, so this one goes on: gate.toml:3: no", turn + 1)
    one.says("control hears: True the new version ended with code 2", 2)
    assert len(one.children()) == 3


def test_two_new_versions_at_once_and_one_that_is_killed(family):
    one = family(HEIR % "time.sleep(100)")
    one.signal(signal.SIGUSR2)
    one.notes("takes over as soon as it is ready")
    heir = one.children()[-1]
    one.signal(signal.SIGUSR2)
    one.notes(f"no upgrade: one is under way, process {heir}")
    one.says("control hears: False no upgrade")
    os.kill(heir, signal.SIGKILL)
    one.notes("the new version was killed by signal 9")
    one.signal(signal.SIGUSR2)
    one.notes("takes over as soon as it is ready", 2)


def test_a_gateway_that_is_told_to_end_takes_a_new_version_that_starts_along(family):
    one = family(HEIR % "time.sleep(100)")
    one.signal(signal.SIGUSR2)
    one.notes("takes over as soon as it is ready")
    children = one.children()
    assert len(children) == 4
    one.signal(signal.SIGTERM)
    assert one.ends() == 0
    until(lambda: gone(children))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with code 0"),
        (2 << 8, "ended with code 2"),
        (11, "was killed by signal 11 (SIGSEGV)"),
        (9, "was killed by signal 9 (SIGKILL) (out of memory? `dmesg` tells)"),
        (40, "was killed by signal 40 (real-time)"),
    ],
)
def test_endings_in_words(status, words):
    assert ending(status) == words
