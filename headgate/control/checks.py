"""Which upstreams are checked: the checkers of a configuration, made ready beside those of the one before, which they follow."""

from collections.abc import Callable
from typing import Any

from ..config.schema import Config, Upstream
from ..net.resolve import Resolver
from ..net.tls import BadTlsFile
from ..wire.limits import WireLimits
from .checker import Checker

Heard = Callable[[str, str, str, str], None]
"""Takes an upstream's name, and what a checker says (`checker.Heard`)."""
Note = Callable[[str], None]


class Checks:
    """The active checks of one configuration. They run from `start` until others follow."""

    def __init__(self, heard: Heard, note: Note) -> None:
        """heard: is told every verdict. note: writes a line to the error log."""
        self._heard, self._note = heard, note
        self._checkers: dict[str, Checker] = {}
        self._settings: dict[str, Upstream] = {}

    def followed_by(self, config: Config, complain: Note | None = None) -> "Checks":
        """Return those of another configuration, not started; upstreams whose settings stayed keep their checkers.

        Raises BadTlsFile, unless complain is given, which is told why an upstream is not checked.
        """
        made = Checks(self._heard, self._note)
        resolver, limits = Resolver(config.gateway.dns), WireLimits.of(config.gateway.limits)
        for name, settings in config.upstream.items():
            if settings.health is None:
                continue
            if self._settings.get(name) == settings:
                made._checkers[name] = self._checkers[name]
            else:
                try:
                    made._checkers[name] = Checker(name, settings, resolver, self._hearing(name), self._note, limits)
                except BadTlsFile as problem:
                    if complain is None:
                        raise
                    complain(f"{name}: its servers are not checked until the next reload: {problem}")
                    continue
            made._settings[name] = settings
        return made

    def _hearing(self, name: str) -> Callable[[str, str, str], None]:
        return lambda label, event, why: self._heard(name, label, event, why)

    def start(self, before: "Checks | None" = None) -> None:
        """Begin; those before end, but for what goes on."""
        for name, checker in before._checkers.items() if before is not None else ():
            if self._checkers.get(name) is not checker:
                checker.stop()
        for checker in self._checkers.values():
            checker.start()

    def stop(self) -> None:
        """End all."""
        for checker in self._checkers.values():
            checker.stop()

    def forget(self, upstream: str, label: str) -> None:
        """Have no verdict about a server, so that the next one is told even if it is the same."""
        if upstream in self._checkers:
            self._checkers[upstream].forget(label)

    def forget_all(self) -> None:
        """Have no verdict about any server."""
        for name, checker in self._checkers.items():
            for label in checker.describe():
                self.forget(name, label)

    def describe(self, upstream: str) -> dict[str, Any]:
        """Return what was last seen of an upstream's servers, by label; nothing where there are no checks."""
        checker = self._checkers.get(upstream)
        return checker.describe() if checker is not None else {}
