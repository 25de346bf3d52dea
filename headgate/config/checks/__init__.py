"""Which settings will cause failures although they are valid: one function for each, found by its id."""

from ..findings import Finding, Source
from ..schema import Config
from . import clients, routes, servers, times
from .registry import CHECKS, Check

__all__ = ["CHECKS", "Check", "clients", "routes", "servers", "times", "warnings"]


def warnings(config: Config, source: Source) -> list[Finding]:
    """Return what every check has to say about a configuration, in the order of its file."""
    findings = [source.finding(check.level, remark, check.id) for check in CHECKS for remark in check.run(config)]
    return sorted(findings, key=lambda finding: finding.line)
