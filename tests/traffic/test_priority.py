"""Which servers may be chosen: the best priority that is up, and all when nothing is."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.priority import usable


@dataclass(slots=True, eq=False)
class Server:
    priority: int = 0
    up: bool = True
    ready: bool = True  # by the administrator's word
    label: str = ""
    share: int = 1
    busy: int = 0
    cost: float = 0.0


def found(servers):
    return usable(servers, lambda server: server.up and server.ready, lambda server: server.ready)


def test_backups_wait_until_every_first_server_is_down():
    first, second, backup = Server(), Server(), Server(priority=1)
    assert found([backup, first, second]) == ([first, second], 0, False)
    first.up = False
    assert found([backup, first, second]) == ([second], 0, False)
    second.ready = False
    assert found([backup, first, second]) == ([backup], 1, False)


def test_when_nothing_is_up_all_are_asked_but_those_an_administrator_took_out():
    first, out, backup = Server(up=False), Server(up=False, ready=False), Server(priority=2, up=False)
    assert found([first, out, backup]) == ([first, backup], 0, True)
    assert found([backup, out]) == ([backup], 2, True)


def test_when_all_were_taken_out_there_is_none_and_no_panic():
    assert found([Server(ready=False), Server(ready=False, priority=1)]) == ([], -1, False)
    assert found([]) == ([], -1, False)


@given(st.lists(st.builds(Server, st.integers(0, 3), st.booleans(), st.booleans()), max_size=8))
def test_laws(servers):
    chosen, level, panic = found(servers)
    assert chosen == [server for server in servers if server in chosen]
    assert all(server.ready for server in chosen)
    assert bool(chosen) == any(server.ready for server in servers)
    if panic:
        assert not any(server.up and server.ready for server in servers)
    else:
        assert all(server.up and server.priority == level for server in chosen)
        assert not any(server.up and server.ready and server.priority < level for server in servers)
        assert all(server in chosen for server in servers if server.up and server.ready and server.priority == level)
