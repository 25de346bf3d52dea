"""docs/configuration.md says what the schema says, and its files can be loaded."""

import re
from pathlib import Path

import pytest

from headgate.config import reference
from headgate.config.checks import CHECKS
from headgate.config.load import load
from headgate.config.schema import Route
from headgate.config.wording import tables
from headgate.gateway.router import Route as Chosen
from headgate.gateway.router import Router

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert text == reference.updated(text), "run: python -m headgate.config.reference docs/configuration.md"


def test_every_key_is_in_it_with_a_meaning():
    text = reference.reference()
    for heading, table in tables():
        assert f"### `{heading}`" in text
        assert table.__doc__
        for name, about in table.model_fields.items():
            assert about.description or f".{name}]" in text, (heading, name)
    assert '| `connect` | duration | `"3s"` |' in text
    assert "| `attempts` | number, from 1 to 10 | `3` |" in text
    assert all(f"| `{check.id}` |" in text for check in CHECKS)


def test_a_page_without_the_mark_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no line <!--"):
        reference.updated("# A page\n")


def test_it_prints_or_writes(tmp_path, capsys):
    reference.main([])
    assert capsys.readouterr().out == reference.reference()
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{reference.MARK}old")
    reference.main([str(page)])
    assert page.read_text() == f"# Mine\n\n{reference.MARK}\n{reference.reference()}"


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_its_files_can_be_loaded(text, tmp_path):
    file = tmp_path / "headgate.toml"
    kept = re.sub(r"^(certificate|key|tls\.ca) = .*\n|^\[gateway\.tls\]\n", "", text, flags=re.MULTILINE)
    file.write_text(kept)
    assert load(file).upstream


def test_the_order_that_it_tells_is_the_routers():
    first = Route(name="1", path="/static/deep", upstream="a")
    second = Route(name="2", path_regex=r"/.*\.css", upstream="a")
    found = Router([first, second]).match(b"", b"/static/deep/a.css", b"GET", b"")
    assert isinstance(found, Chosen)
    assert found.name == "2"
    assert r"`path_regex = '/.*\.css'` | `/static/deep/a.css` | the second" in PAGE.read_text(encoding="utf-8")
