"""Which times contradict each other, or those of the neighbours."""

from collections.abc import Iterator
from typing import Final

from ..findings import Remark
from ..schema import Config
from ..units import show_duration
from .registry import check, speaks_https, upstreams

_SHORTEST_KEEP_ALIVE: Final = 5.0
_FRONT_KEEP_ALIVE: Final = 60.0


@check("total-too-short")
def total_too_short(config: Config) -> Iterator[Remark]:
    """The time for the whole exchange ends before the times of its parts."""
    for place, upstream in upstreams(config):
        times = upstream.timeouts
        tls = times.tls if speaks_https(upstream) else 0.0
        parts = "connect + tls + head" if tls else "connect + head"
        needed = times.connect + tls + times.head
        if times.total < needed:
            message = (
                f'total ("{show_duration(times.total)}") ends before {parts} ("{show_duration(needed)}"): a slow answer that '
                f"head would allow ends as 504 response-total-timeout"
            )
            hint = f'write total = "{show_duration(needed)}" or more, or lower head'
            yield Remark((*place, "timeouts", "total"), message, hint)


@check("retry-outlasts-total")
def retry_outlasts_total(config: Config) -> Iterator[Remark]:
    """All tries together, should each fail to connect, take longer than the whole exchange may."""
    for place, upstream in upstreams(config):
        tries, times = upstream.retry.attempts, upstream.timeouts
        if tries > 1 and tries * times.connect > times.total:
            message = (
                f'{tries} tries of connect = "{show_duration(times.connect)}" outlast total ("{show_duration(times.total)}"): '
                f"while a server is silent, clients get 504 before the last try is made"
            )
            hint = f'write connect = "{show_duration(_rounded(times.total / tries))}" or less, or raise total'
            yield Remark((*place, "timeouts", "connect"), message, hint)


@check("silence-outlasts-total")
def silence_outlasts_total(config: Config) -> Iterator[Remark]:
    """A bound on silence that is never reached, as the whole exchange ends first."""
    for place, upstream in upstreams(config):
        times = upstream.timeouts
        for key, value in (("send", times.send), ("idle", times.idle)):
            if value > times.total:
                message = (
                    f'{key} ("{show_duration(value)}") is never reached, as total ends after "{show_duration(times.total)}": '
                    f"transfers that are slow but alive are cut"
                )
                yield Remark(
                    (*place, "timeouts", key), message, f'write total = "{show_duration(value * 2)}" or more, or lower {key}'
                )


@check("keep-alive-outlasts-server", "note")
def keep_alive_outlasts_server(config: Config) -> Iterator[Remark]:
    """Connections are kept longer than common servers keep them; only told where the file says so itself."""
    for place, upstream in upstreams(config):
        idle = upstream.keep_alive.idle
        if "idle" in upstream.keep_alive.model_fields_set and idle > _SHORTEST_KEEP_ALIVE and upstream.keep_alive.connections:
            message = (
                f'"{show_duration(idle)}" is longer than many servers keep an idle connection (gunicorn 2s, Node.js, uvicorn '
                f"and Apache 5s): a request on one that the server just closed fails as 502 closed-on-reuse. The pool learns a "
                f"server's limit from Keep-Alive and from the closes it sees, so this concerns the first ones"
            )
            yield Remark(
                (*place, "keep_alive", "idle"), message, 'write idle = "4s" for such a server, or raise its own keep-alive'
            )


@check("idle-below-front-proxy")
def idle_below_front_proxy(config: Config) -> Iterator[Remark]:
    """A load balancer in front keeps idle connections longer than this gateway does."""
    idle = config.gateway.timeouts.idle
    if config.gateway.trusted_proxies and idle <= _FRONT_KEEP_ALIVE:
        message = (
            f'"{show_duration(idle)}" is not longer than a load balancer in front keeps an idle connection (AWS and nginx: 60s): '
            f"it then answers 502 by itself when it reuses a connection that was just closed here"
        )
        yield Remark(("gateway", "timeouts", "idle"), message, 'write idle = "75s", or longer than the balancer\'s')


def _rounded(seconds: float) -> float:
    """Return a duration of two digits, not above the given one."""
    return int(seconds) if seconds >= 10 else int(seconds * 10) / 10 if seconds >= 1 else int(seconds * 1000) / 1000
