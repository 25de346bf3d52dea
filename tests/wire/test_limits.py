from dataclasses import fields

from headgate.config.schema import Limits
from headgate.wire.limits import WireLimits


def test_names_and_defaults_are_those_of_the_configuration() -> None:
    assert WireLimits.of(Limits()) == WireLimits()


def test_configured_values_arrive() -> None:
    names = [field.name for field in fields(WireLimits)]
    configured = Limits(**{name: number for number, name in enumerate(names, start=10)})
    assert [getattr(WireLimits.of(configured), name) for name in names] == list(range(10, 10 + len(names)))
