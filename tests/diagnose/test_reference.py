"""The documentation of causes is what the catalogue says now."""

import re
from pathlib import Path

import pytest

from headgate.diagnose.catalogue import SECTIONS, catalogue
from headgate.diagnose.reference import main, pages, write
from headgate.model.phases import PHASES

DOCS = Path(__file__).parents[2] / "docs"


def on_disk(folder: Path) -> dict[str, str]:
    files = [folder / "causes.md", *(folder / "causes").glob("*.md")]
    return {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_committed_pages_are_up_to_date(tmp_path: Path) -> None:
    write(tmp_path)
    assert on_disk(DOCS) == on_disk(tmp_path), "run `python -m headgate.diagnose.reference docs`"


def test_there_is_a_page_for_each_cause_and_the_index_leads_to_it() -> None:
    texts = pages()
    assert texts.keys() == {"causes.md", *(f"causes/{code}.md" for code in catalogue())}
    links = re.findall(r"\]\((causes/[a-z0-9-]+\.md)\)", texts["causes.md"])
    assert sorted([*links, "causes.md"]) == sorted(texts)


def test_a_page_says_all_that_the_catalogue_holds() -> None:
    cause = catalogue()["connection-refused"]
    text = pages()["causes/connection-refused.md"]
    assert text.startswith(f"# {cause.title}\n")
    assert f"> {cause.sentence}\n" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(SECTIONS)
    for said in (*cause.aliases, *cause.sections.values(), f"Status: {cause.status}\n", f"`{cause.error}`", "causes.md#connect"):
        assert said in text


def test_what_deviates_says_why_and_a_lost_client_gets_no_status() -> None:
    assert f"- Status: 404. {catalogue()['no-route'].deviation}\n" in pages()["causes/no-route.md"]
    assert "- Status: 499, in logs only." in pages()["causes/client-gone.md"]


def tables() -> list[list[str]]:
    """Return the tables of the index, each as its lines."""
    return [part.splitlines() for part in pages()["causes.md"].split("\n\n") if part.startswith("|")]


def test_every_table_row_has_as_many_cells_as_the_head() -> None:
    assert len(tables()) > len(PHASES)
    for table in tables():
        assert {row.count("|") for row in table} == {table[0].count("|")}


def test_what_only_other_gateways_meet_stands_in_tables_of_its_own() -> None:
    own: set[str] = set()
    others: set[str] = set()
    for table in tables():
        codes = set(re.findall(r"\[`([a-z0-9-]+)`\]", "\n".join(table)))
        (others if "Usual status" in table[0] else own).update(codes)
    assert others == {cause.code for cause in catalogue().values() if cause.elsewhere}
    assert own == catalogue().keys() - others
    assert f"The {len(own)} reasons" in pages()["causes.md"]
    assert f"\n{len(others)} more " in pages()["causes.md"]


def test_the_page_of_what_only_other_gateways_meet_says_so_and_nothing_of_headgates_own_conduct() -> None:
    cause = catalogue()["gateway-crashed"]
    text = pages()["causes/gateway-crashed.md"]
    assert "only about other gateways" in text
    assert "- Fault: the gateway itself, or its machine\n" in text
    assert f"- Usual status: {cause.status};" in text
    assert f"- Also known as: {', '.join(cause.aliases)}\n" in text
    assert "server's health" not in text
    assert "only about other gateways" not in pages()["causes/connection-refused.md"]


def test_writing_removes_pages_of_causes_that_are_no_more(tmp_path: Path) -> None:
    (tmp_path / "causes").mkdir()
    (tmp_path / "causes" / "gone-cause.md").write_text("old")
    assert write(tmp_path) == len(pages())
    assert on_disk(tmp_path) == pages()


def test_command_prints_the_index_or_writes_the_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == pages()["causes.md"]
    assert main([str(tmp_path / "docs")]) == 0
    assert on_disk(tmp_path / "docs") == pages()


def test_command_refuses_wrong_usage_and_unwritable_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b"]) == 2
    assert "usage:" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 2
    assert "cannot write the documentation of causes" in capsys.readouterr().err
