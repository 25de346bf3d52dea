"""The handbook of products is what the knowledge says now: each product, code and sentence has its place, and can be found."""

import re
from pathlib import Path

import pytest

from headgate.diagnose.captured import Captured
from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.codes import Dictionary, Row, rows
from headgate.diagnose.handbook import heading, main, pages, visible, without_tags, write
from headgate.diagnose.products import KINDS, Product, products

DOCS = Path(__file__).parents[2] / "docs"
TEXTS = pages()
EVERY = list(products().values())
each_product = pytest.mark.parametrize("product", EVERY, ids=lambda product: product.id)
each_page = pytest.mark.parametrize("path", TEXTS)
FENCE = re.compile(r"^```text\n.*?^```$", re.MULTILINE | re.DOTALL)


def page_of(row: Row) -> str:
    return TEXTS[f"products/{row.product or row.dictionary.id}.md"]


def on_disk(folder: Path) -> dict[str, str]:
    files = [folder / "products.md", *(folder / "products").glob("*.md")]
    return {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in files}


def sentence(sample: str, match: str = "", has: str = "", name: str = "") -> Row:
    dictionary = Dictionary("test", "", "Test", "in a log", "a source", "S")
    return Row(dictionary, "short-name", name=name, means="It failed.", sample=sample, match=match, has=has or "failed")


def test_committed_pages_are_up_to_date() -> None:
    assert on_disk(DOCS) == TEXTS, "run `python -m headgate.diagnose.handbook docs`"


def test_there_is_a_page_for_each_product_and_each_general_dictionary_and_the_index_leads_to_it() -> None:
    general = {row.dictionary.id for row in rows() if not row.product}
    assert not general & products().keys(), "two pages of one name"
    assert TEXTS.keys() == {"products.md", *(f"products/{name}.md" for name in products().keys() | general)}
    links = re.findall(r"\]\((products/[a-z0-9-]+\.md)\)", TEXTS["products.md"])
    assert sorted([*links, "products.md"]) == sorted(TEXTS)


def test_every_word_belongs_to_a_product_that_exists() -> None:
    assert {row.product for row in rows()} - {""} <= products().keys()


def test_the_index_counts_what_there_is() -> None:
    assert f"What {len(EVERY)} products" in TEXTS["products.md"]
    assert f"{len(rows())} codes and" in TEXTS["products.md"]
    for kind in {product.kind for product in EVERY}:
        assert f"\n## {KINDS[kind][0].upper()}{KINDS[kind][1:]}\n" in TEXTS["products.md"]


@each_product
def test_a_products_page_says_all_that_its_file_holds(product: Product) -> None:
    text = TEXTS[f"products/{product.id}.md"]
    assert text.startswith(f"# {product.name}\n")
    assert len(re.findall(r"^### (?!`)", text, re.MULTILINE)) == len(product.answers)
    marks = text.partition("\n## How its answers are recognised\n")[2]
    assert len(re.findall(r"^- ", marks, re.MULTILINE)) == len(product.marks)
    assert all(f"../causes/{code}.md" in text for answer in product.answers for code in answer.causes)
    assert all(line.partition("   # ")[0] in text for line in product.logs)
    assert product.status_page in text


def test_every_row_has_an_entry_under_what_it_is_looked_for_by() -> None:
    for row in rows():
        title = heading(row)
        span = f"`` {title} ``" if "`" in title else f"`{title}`"
        assert re.search(rf"^##+ {re.escape(span)}", page_of(row), re.MULTILINE), (row.dictionary.id, row.code)


def test_every_sample_command_and_setting_stands_there_as_it_is_written() -> None:
    for row in rows():
        shown = [row.code] if not row.has else [row.sample] if row.sample else []
        for said in (*shown, *row.check, *row.fix):
            assert all(line in page_of(row) for line in said.splitlines()), (row.dictionary.id, row.code, said)


def test_every_cause_of_a_row_is_linked_on_its_page() -> None:
    for row in rows():
        assert all(f"](../causes/{code}.md)" in page_of(row) for code in row.causes), (row.dictionary.id, row.code)


def test_each_entry_is_written_once() -> None:
    entries = sum(len(re.findall(r"^##+ `", text, re.MULTILINE)) for text in TEXTS.values())
    assert entries == len(rows())


@each_page
def test_pages_are_well_formed_markdown(path: str) -> None:
    text = FENCE.sub("(quoted)", TEXTS[path])
    assert "```" not in text, "a fence that is not closed"
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert text.count("<details>") == text.count("</details>")
    for table in (part for part in text.split("\n\n") if part.startswith("|")):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}) == 1
    for link in re.findall(r"\]\(#([^)]+)\)", text):
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert link in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@each_page
def test_nothing_outside_of_code_is_taken_for_html(path: str) -> None:
    text = FENCE.sub("(quoted)", TEXTS[path])
    text = re.sub(r"`` .*? ``|`[^`\n]*`", "", text)
    tags = re.findall(r"(?<!\\)<[a-zA-Z/!][^>\n]*>", text)
    assert [tag for tag in tags if not re.fullmatch(r"</?(?:details|summary)>|<https://[^>]+>", tag)] == []


def test_long_lists_of_causes_are_folded_and_none_is_lost() -> None:
    text = TEXTS["products/nginx.md"].partition("\n### 502\n")[2].partition("\n### ")[0]
    answer = next(one for one in products()["nginx"].answers if one.status == (502,))
    before, _, folded = text.partition("<details>")
    assert re.findall(r"causes/([a-z0-9-]+)\.md", text) == list(answer.causes)
    assert before.count("](../causes/") < 10 < folded.count("](../causes/")


@pytest.mark.parametrize(("path", "text"), [
    ("products/nginx.md", "### `connect() failed (111: Connection refused) while connecting to upstream`"),
    ("products/cloudflare.md", "Web server is down"),
    ("products/cloudflare.md", "where the page says `error code: 1016`"),
    ("products/haproxy.md", "No server is available to handle this request."),
    ("products/envoy.md", "upstream connect error or disconnect/reset before headers"),
    ("products/apache.md", "### `AH00957`"),
    ("products/errno.md", "## `ECONNREFUSED`"),
    ("products/http-status.md", "## `502` Bad Gateway"),
])  # fmt: skip
def test_an_error_text_is_found_as_it_was_seen(path: str, text: str) -> None:
    assert text in TEXTS[path]


@pytest.mark.parametrize(("row", "title"), [
    (sentence("x connect() failed (5: No), client: 1.2.3.4", r"connect\(\) failed.*"), "connect() failed (5: No)"),
    (sentence("The system returned: <i>(5) It failed</i>", r"returned: .*failed"), "returned: (5) It failed"),
    (sentence('"level":"error","msg":"dial tcp: failed"', r'"level".*failed'), "dial tcp: failed"),
    (sentence("(104)Reset: [client 1.2.3.4:5] AH1: failed", r"\(104\).*failed"), "(104)Reset: AH1: failed"),
    (sentence("It Failed   again", has="failed"), "Failed"),
    (sentence("to https://gateway.example/auD?x=1 now", has="gateway.example"), "https://gateway.example/auD"),
    (sentence("SSL routines::no cipher", has="no cipher"), "no cipher"),
    (sentence("no hit", has="failed"), "failed"),
    (sentence("web app/<NOSRV> 0", has="<nosrv>"), "app/<NOSRV>"),
    (sentence("this failed", has="failed", name="This failed for good"), "This failed for good"),
    (sentence(f"{'word ' * 40}failed", r"word.*failed"), f"{'word ' * 23}word ..."),
    (sentence(f"{'w' * 200} failed", r"w.*failed"), f"{'w' * 120} ..."),
])  # fmt: skip
def test_a_sentence_is_headed_by_what_is_fixed_in_it(row: Row, title: str) -> None:
    assert heading(row) == title


def test_tags_go_and_what_only_looks_like_one_stays() -> None:
    assert without_tags("<center>Too Large</center>") == "Too Large"
    assert without_tags("app/<NOSRV> <b>") == "app/<NOSRV>"
    assert without_tags("<hr>") == "<hr>"


def test_what_a_person_sees_of_a_page() -> None:
    page = (
        b"<html><head><title>502</title><style>p {}</style></head><body><!-- no --><p>Bad &amp; <b>ugly</b><br>Again</p></body>"
    )
    assert visible(Captured(body=page)) == ["502", "Bad & ugly", "Again"]
    assert visible(Captured(body=b"no healthy upstream <x>\n\nno healthy upstream <x>")) == ["no healthy upstream <x>"]
    assert visible(Captured()) == []


def test_titles_in_links_keep_their_capitals_where_they_are_names() -> None:
    text = "\n".join(TEXTS.values())
    assert f"[{catalogue()['http2-error'].title}](../causes/http2-error.md)" in text
    assert "[the server refused the connection](../causes/connection-refused.md)" in text


def test_writing_removes_pages_of_products_that_are_no_more(tmp_path: Path) -> None:
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "gone-product.md").write_text("old")
    assert write(tmp_path) == len(TEXTS)
    assert on_disk(tmp_path) == TEXTS


def test_command_prints_the_index_or_writes_the_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == TEXTS["products.md"]
    assert main([str(tmp_path / "docs")]) == 0
    assert on_disk(tmp_path / "docs") == TEXTS


def test_command_refuses_wrong_usage_and_unwritable_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b"]) == 2
    assert "usage:" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 2
    assert "cannot write the handbook of products" in capsys.readouterr().err
