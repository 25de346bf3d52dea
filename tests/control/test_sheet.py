"""A scrape's text: bounded series that keep their names, in the format that was asked for, readable whatever the labels hold."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from headgate.control.sheet import Bounds, Sheet, written
from headgate.model.counted import BUCKETS, MOST


def sheet(bounds=None):
    return Sheet(bounds or Bounds())


def samples(made, family):
    [found] = [one for one in made.collect() if one.name == f"headgate_{family}"]
    return {tuple(sample.labels.values()): sample.value for sample in found.samples}


def test_few_label_sets_keep_their_names():
    made = sheet()
    made.counter("x", "X.", {("a", "1"): 1, ("b", "2"): 2}, ("route", "status"))
    assert samples(made, "x") == {("a", "1"): 1, ("b", "2"): 2}


def test_many_are_counted_together_and_none_is_lost():
    bounds = Bounds()
    made = sheet(bounds)
    made.counter("x", "X.", {(f"r{number}", f"{number % 2}xx"): 1 for number in range(5000)}, ("route", "status_class"))
    told = samples(made, "x")
    assert len(told) == MOST + 2
    assert told["other", "0xx"] == told["other", "1xx"] == 1500
    assert sum(told.values()) == 5000
    assert bounds.folded["headgate_x"] == 3000


def test_who_has_a_series_keeps_it_and_who_is_gone_makes_room():
    bounds = Bounds(most=2)

    def scrape(rows):
        made = sheet(bounds)
        made.gauge("x", "X.", rows, ("server",))
        return samples(made, "x")

    assert scrape({("a",): 1, ("b",): 2, ("c",): 3}) == {("a",): 1, ("b",): 2, ("other",): 3}
    assert scrape({("c",): 3, ("d",): 4, ("b",): 2, ("a",): 1}) == {("a",): 1, ("b",): 2, ("other",): 7}, "the order may change"
    assert scrape({("c",): 3, ("b",): 2}) == {("b",): 2, ("c",): 3}
    assert bounds.folded["headgate_x"] == 0


def test_what_cannot_be_added_up_is_left_out():
    made = sheet(Bounds(most=1))
    made.gauge("x", "X.", {("a",): 5, ("b",): 7}, ("server",), summed=False)
    assert samples(made, "x") == {("a",): 5}


def test_states_and_histograms_count_with_all_their_series():
    bounds = Bounds()
    made = sheet(bounds)
    servers = {(f"s{number}",): {"up": 1.0} for number in range(2000)}
    made.states("s", "S.", servers, ("server",), ("up", "down"))
    told = samples(made, "s")
    assert len(told) == MOST + 2
    assert (told["other", "up"], told["other", "down"]) == (1000, 0)
    made.durations("d", "D.", {(f"r{number}",): [1] * 15 + [2.5] for number in range(300)}, ("route",))
    [histogram] = [one for one in made.collect() if one.type == "histogram"]
    counts = [sample.value for sample in histogram.samples if sample.name.endswith("_count")]
    assert sum(counts) == 300 * 15
    assert len(histogram.samples) <= MOST + 17


def test_a_histogram_is_cumulative():
    made = sheet()
    made.durations("d", "D.", {("r",): [1, 0, 2, *[0] * 11, 4, 99.5]}, ("route",))
    body, _ = written(made, "application/openmetrics-text")
    [family] = openmetrics(body.decode())
    values = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert (values["0.001"], values["0.0025"], values["0.005"], values["60.0"], values["+Inf"]) == (1, 1, 3, 3, 7)
    assert values["headgate_d_seconds_sum"] == 99.5
    assert values["headgate_d_seconds_count"] == 7
    assert len(values) == len(BUCKETS) + 3


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5",
        "text/plain;q=0.2, Application/OpenMetrics-Text; version=nonsense",
        "application/openmetrics-text;q=0.05",
    ],
)
def test_openmetrics_where_it_is_asked_for(accept):
    made = sheet()
    made.counter("x", "X.", 3)
    body, kind = written(made, accept)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"# EOF\n")
    [family] = openmetrics(body.decode())
    assert [(sample.name, sample.value) for sample in family.samples] == [("headgate_x_total", 3)]


@pytest.mark.parametrize(
    "accept",
    [
        "", "*/*", "text/plain", "text/plain;version=0.0.4", "text/html,*/*;q=0.8", "application/json", "\xff\x01;;;,,,=",
        "application/openmetrics-text;q=0", "application/openmetrics-text; version=1.0.0; q=0.000, text/plain",
        "application/openmetrics-textile", "text/plain;version=zz", "text/plain;version=1.0.0;escaping=what",
    ],
)  # fmt: skip
def test_else_the_text_of_prometheus(accept):
    made = sheet()
    made.counter("x", "X.", 3)
    body, kind = written(made, accept)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE headgate_x_total counter\nheadgate_x_total 3.0\n" in body
    assert b"# EOF" not in body


NASTY = [
    '"',
    "\\",
    "\n",
    'a"} 1\nheadgate_evil{x="',
    "<script>",
    "\x00\x1b[31m",
    "é☃\U0001f4a5",
    "",
    "x" * 5000,
    "\u2028",
    "\r\n",
]


@pytest.mark.parametrize("value", NASTY)
def test_labels_are_told_as_they_are(value):
    made = sheet()
    made.counter("x", "X.", {(value,): 3, ("tame",): 4}, ("cause",))
    for accept, read in (("application/openmetrics-text", openmetrics), ("", plain)):
        body, _ = written(made, accept)
        [family] = read(body.decode())
        assert {sample.labels.get("cause", ""): sample.value for sample in family.samples} == {value: 3, "tame": 4}
