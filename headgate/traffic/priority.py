"""Which servers may be chosen now: the best priority that has one up; when none is up at all, all of them rather than none."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple

from .candidate import S


class Usable(NamedTuple, Generic[S]):
    """The servers to choose among."""

    servers: list[S]  # in the order they were given
    level: int  # the lowest priority number among them; -1 when there is none
    panic: bool  # none was up, so all are asked: a check that is wrong about every server must not end the service


def usable(servers: Sequence[S], is_up: Callable[[S], bool], may_serve: Callable[[S], bool]) -> Usable[S]:
    """Return the servers that may be chosen.

    is_up: it may be asked, by all that is known. may_serve: no administrator took it out (nor drains it); asked only in panic.
    """
    up = [server for server in servers if is_up(server)]
    if up:
        level = min(server.priority for server in up)
        return Usable([server for server in up if server.priority == level], level, False)
    last = [server for server in servers if may_serve(server)]
    return Usable(last, min((server.priority for server in last), default=-1), bool(last))
