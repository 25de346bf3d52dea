"""Every known format reads its own samples as they say, is recognised by them, and counts what it reads."""

from typing import Any

import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.products import folder
from headgate.logs.fields import FIELDS
from headgate.logs.formats import Format, formats, parse
from headgate.logs.layout import BadLayout
from headgate.logs.recognise import entry_of_line, recognise

SAMPLES = [
    pytest.param(form, sample, id=f"{form.id}-{number}")
    for form in formats().values()
    for number, sample in enumerate(form.sample, 1)
]
PREFIXES = {
    "syslog": "Nov 20 10:15:30 lb1 prog[412]: ",
    "kubernetes": "2026-11-20T10:15:30.123456789Z stdout F ",
    "rfc5424": "<134>1 2026-11-20T10:15:30.123Z lb1 prog 412 - - ",
    "compose": "proxy-1  | ",
}


def value(entry: object, name: str) -> Any:
    found = getattr(entry, name)
    return list(found) if isinstance(found, tuple) else found


@pytest.mark.parametrize("form", formats().values(), ids=lambda form: form.id)
def test_format_is_complete(form: Format) -> None:
    assert form.title
    assert form.source
    assert len(form.sample) >= 2
    assert set(form.keys) <= set(FIELDS)
    if any(folder().iterdir()):
        assert (folder() / f"{form.product}.toml").is_file(), f"no product is called {form.product}"
    for lengths in form.own.values():
        assert lengths.replace(",", "").replace("-", "").isdigit()


@pytest.mark.parametrize(("form", "sample"), SAMPLES)
def test_sample_is_read(form: Format, sample: dict[str, Any]) -> None:
    entry = form.entry(sample["line"].encode(), 7, "x.log")
    if entry is None:
        assert not sample["is"], "the line was not read"
        assert form.read(sample["line"].encode()) is not None
        return
    for name, wanted in sample["is"].items():
        got = value(entry, name)
        if name == "causes":
            assert got[: len(wanted) or 1] == wanted
        elif isinstance(wanted, float):
            assert got == pytest.approx(wanted, abs=1e-6), name
        else:
            assert got == wanted, name
    assert (entry.product, entry.file, entry.line, entry.error_log) == (form.product, "x.log", 7, form.kind == "error")
    assert all(code in catalogue() for code in entry.causes)
    assert entry.made_by in ("", "gateway", "upstream", "client")
    assert entry.confidence in ("", "proved", "likely", "possible")


@pytest.mark.parametrize(("form", "sample"), SAMPLES)
def test_counting_agrees_with_reading(form: Format, sample: dict[str, Any]) -> None:
    line = sample["line"].encode()
    places = form.columns
    if places is None:
        assert form.kind == "error" or form.reader
        return
    rows = form.patterns[1].findall(line + b"\n" + line + b"\r\n")
    assert len(rows) == 2
    entry = form.entry(line, 1, "")
    assert entry is not None
    status = rows[0][places["status"]]
    assert int(status or b"0") == entry.status or not status


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
@pytest.mark.parametrize(("form", "sample"), SAMPLES)
def test_sample_is_recognised_whatever_stands_before_it(form: Format, sample: dict[str, Any], prefix: str) -> None:
    found = recognise([(PREFIXES.get(prefix, "") + sample["line"]).encode()])
    assert found.formats[0].id == form.id
    assert found.share == 1.0


def test_one_line_of_anything() -> None:
    entry = entry_of_line(
        '{"log":"2026/11/20 10:15:30 [error] 1#1: *1 no live upstreams while connecting to upstream\\n","stream":"stderr"}'
    )
    assert entry is not None
    assert entry.product == "nginx"
    assert entry.causes[0] == "no-healthy-server"
    assert entry_of_line("anything else") is None
    assert entry_of_line(b"") is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x = [", "formats/x.toml"),
        ('kind = "access"\nnonsense = 1', "nonsense"),
        ('kind = "other"', "other"),
        ('product = "a"\ntitle = "b"\nkind = "access"\n[keys]\nwhatever = "x"', "whatever"),
    ],
)
def test_broken_format_is_told(text: str, word: str) -> None:
    with pytest.raises(BadLayout, match=word):
        parse("x", text)
