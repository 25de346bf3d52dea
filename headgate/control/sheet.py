"""How metrics are put down and told: the families of one scrape, each bounded in its series, in the format that was asked for.

Beyond the bound the names of routes, upstreams and servers become "other": what is counted stays counted. Who has a series
keeps it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics

from ..model.counted import BUCKETS, MOST, OTHER

Labels = tuple[str, ...]
Rows = Mapping[Labels, float]
"""Values by the values of labels, in the order in which the family names these."""
_NAMES: Final = ("route", "upstream", "server")
"""Labels of which there may be any number."""
_OPENMETRICS: Final = "application/openmetrics-text"
_WANTED: Final = re.compile(r"application/openmetrics-text *(?:;([^,]*))?(?:,|$)", re.IGNORECASE)
_REFUSED: Final = re.compile(r"; *q=0(?:\.0*)? *(?:;|$)", re.IGNORECASE)
_EDGES: Final = (*(str(bound) for bound in BUCKETS), "+Inf")


class Bounds:
    """Which label sets of each family have a series of their own. It outlives the scrapes."""

    def __init__(self, most: int = MOST) -> None:
        """most: series of one family."""
        self._most = most
        self._kept: dict[str, dict[Labels, None]] = {}
        self.folded: dict[str, int] = {}  # label sets without, by family

    def fold(
        self, family: str, labels: Sequence[str], rows: Mapping[Labels, Sequence[float]], width: int, summed: bool
    ) -> dict[Labels, Sequence[float]]:
        """Return the rows, with those beyond the bound added up as "other", or left out. width: series of one row."""
        most = self._most // width
        kept = {key: None for key in self._kept.get(family, ()) if key in rows}
        for key in rows:
            if len(kept) >= most:
                break
            kept[key] = None
        self._kept[family] = kept
        self.folded[family] = len(rows) - len(kept)
        found = {key: rows[key] for key in kept}
        for key, values in rows.items() if summed and self.folded[family] else ():
            if key not in kept:
                other = tuple(OTHER if label in _NAMES else value for label, value in zip(labels, key, strict=True))
                before = found.get(other, (0,) * len(values))
                found[other] = [was + more for was, more in zip(before, values, strict=True)]
        return found


class Sheet:
    """The families of one scrape."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._metrics: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        """Yield the families: what the library's writers ask for."""
        yield from self._metrics

    def counter(self, name: str, text: str, rows: Rows | float, labels: Sequence[str] = ()) -> None:
        """Add a counter. name: without `_total`. rows: a number, where there are no labels."""
        family = CounterMetricFamily(f"headgate_{name}", text, labels=labels)
        for key, value in self._folded(family, labels, rows, summed=True):
            family.add_metric(key, value)
        self._metrics.append(family)

    def gauge(
        self, name: str, text: str, rows: Rows | float, labels: Sequence[str] = (), *, summed: bool = True, unit: str = ""
    ) -> None:
        """Add a gauge. summed: its values can be added up; where not, those beyond the bound are left out."""
        family = GaugeMetricFamily(f"headgate_{name}", text, labels=labels, unit=unit)
        for key, value in self._folded(family, labels, rows, summed):
            family.add_metric(key, value)
        self._metrics.append(family)

    def states(
        self, name: str, text: str, rows: Mapping[Labels, Mapping[str, float]], labels: Sequence[str], of: Sequence[str]
    ) -> None:
        """Add a gauge with one more label, "state", and a series for each of the states, by what was counted in each."""
        family = GaugeMetricFamily(f"headgate_{name}", text, labels=(*labels, "state"))
        counted = {key: [states.get(state, 0) for state in of] for key, states in rows.items()}
        for key, values in self._bounds.fold(family.name, labels, counted, len(of), summed=True).items():
            for state, value in zip(of, values, strict=True):
                family.add_metric((*key, state), value)
        self._metrics.append(family)

    def durations(self, name: str, text: str, rows: Mapping[Labels, Sequence[float]], labels: Sequence[str]) -> None:
        """Add a histogram of seconds. rows: what each bucket has, and the sum."""
        family = HistogramMetricFamily(f"headgate_{name}", text, labels=labels, unit="seconds")
        for key, values in self._bounds.fold(family.name, labels, rows, len(_EDGES) + 2, summed=True).items():
            buckets = list(zip(_EDGES, accumulate(values[:-1]), strict=True))
            family.add_metric(key, buckets, values[-1])
        self._metrics.append(family)

    def info(self, name: str, text: str, value: Mapping[str, str]) -> None:
        """Add what is only text. name: without `_info`."""
        self._metrics.append(InfoMetricFamily(f"headgate_{name}", text, value=dict(value)))

    def _folded(self, family: Metric, labels: Sequence[str], rows: Rows | float, summed: bool) -> Iterator[tuple[Labels, float]]:
        if not isinstance(rows, Mapping):
            rows = {(): rows}
        wide = {key: (value,) for key, value in rows.items()}
        for key, values in self._bounds.fold(family.name, labels, wide, 1, summed).items():
            yield key, values[0]


def written(sheet: Sheet, accept: str) -> tuple[bytes, str]:
    """Return the text of a scrape and its media type: OpenMetrics where the Accept field asks for it, else Prometheus's own."""
    wanted = _WANTED.search(accept)
    if wanted is not None and not _REFUSED.search(f";{wanted[1] or ''}"):
        return as_openmetrics(sheet), f"{_OPENMETRICS}; version=1.0.0; charset=utf-8"  # type: ignore[no-untyped-call]
    return as_text(sheet), "text/plain; version=0.0.4; charset=utf-8"
