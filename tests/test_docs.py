"""The documentation tells the truth: commands, options, keys, links and statuses that it names exist, and its examples run."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from headgate.cli.main import main
from headgate.config.json_schema import json_schema
from headgate.diagnose.catalogue import catalogue
from headgate.lab.processes import free_port
from headgate.model.verdicts import VERDICTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN = [page for page in PAGES if page.parent.name not in ("causes", "products")]
"""All but the generated pages of causes and products, whose texts have tests of their own."""
FENCE = re.compile(r"^(<!-- runnable -->\n)?```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str, *, runnable: bool = False) -> list[str]:
    found = FENCE.findall(page.read_text())
    return [text for mark, kind, text in found if kind == language and (mark or not runnable)]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


# Commands and their options.


def commands_named(page: Path) -> Iterator[list[str]]:
    """Yield the words after `headgate` wherever a page shows a command, in code spans and in shell blocks."""
    shown = re.findall(r"`([^`\n]+)`", prose(page))
    shown += [line for text in blocks(page, "sh") for line in text.splitlines()]
    for text in shown:
        found = re.search(r"(?:^|/)headgate( .*)?$", text.strip())
        if found and found[1]:
            words = shlex.split(found[1].split(">")[0].split("|")[0], comments=True)
            if words and re.fullmatch(r"-{0,2}[a-z-]+", words[0]):
                yield words


def check_command(words: list[str]) -> str:
    """Return what does not exist in a command line, "" when all of it does."""
    command: click.Command = main
    context = click.Context(main)
    names = {option for parameter in main.params for option in parameter.opts}
    for word in words:
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in names | {"--help", "-h"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group) and (found := command.get_command(context, word)):
            command, context = found, click.Context(found, parent=context)
            names = {option for parameter in command.params for option in parameter.opts}
        elif command is main:
            return f"there is no command {word}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    wrong = [f"{' '.join(words)}: {fault}" for words in commands_named(page) if (fault := check_command(words))]
    assert not wrong


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert check_command(["sevre", "x.toml"]) == "there is no command sevre"
    assert check_command(["lab", "score", "--gatway", "x"]) == "score has no option --gatway"
    assert check_command(["lab", "score", "--gateway", "x"]) == ""


def test_the_readme_names_every_command() -> None:
    named = {words[0] for words in commands_named(ROOT / "README.md")}
    assert named >= set(main.list_commands(click.Context(main)))


# Links.


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md" and f"({page.name})" not in index
    ] == []


# Configuration.

SCHEMA = json_schema()


def properties(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every table that a schema may mean."""
    if "$ref" in schema:
        yield from properties(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    for kind in ("anyOf", "allOf", "oneOf"):
        for part in schema.get(kind, ()):
            yield from properties(part)
    if "properties" in schema or "additionalProperties" in schema:
        yield schema
    if isinstance(schema.get("items"), dict):
        yield from properties(schema["items"])


def step(schemas: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return what a key leads to from any of the tables."""
    found = []
    for schema in schemas:
        if key in schema.get("properties", {}):
            found.append(schema["properties"][key])
        elif isinstance(schema.get("additionalProperties"), dict):
            found.append(schema["additionalProperties"])
    return found


def exists(path: str) -> bool:
    """Tell whether a dotted key exists: from the root, or within [gateway], [upstream.NAME] or [[route]]."""
    roots = ([], ["gateway"], ["upstream", "NAME"], ["route"])
    return any(_exists([*root, *path.split(".")]) for root in roots)


def _exists(keys: list[str]) -> bool:
    schemas = list(properties(SCHEMA))
    for key in keys:
        found = step(schemas, key)
        if not found:
            return False
        schemas = [table for schema in found for table in properties(schema)]
    return True


def keys_of(table: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in table.items():
        path = (*before, key)
        yield ".".join(path)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from keys_of(inner, path)


@pytest.mark.parametrize("page", OWN, ids=name)
def test_configuration_keys_exist(page: Path) -> None:
    words = re.findall(
        r"`((?:gateway|upstream|route|timeouts|limits|retry|keep_alive|tls|dns|log|pages)\.[A-Za-z_.]+)", prose(page)
    )
    words = [word.rstrip(".") for word in words if not word.endswith((".toml", ".py", ".pem", ".json", ".md"))]
    tables = [table for table in map(tomllib.loads, blocks(page, "toml")) if "expect" not in table]  # those are scenarios
    words += [key for table in tables for key in keys_of(table)]
    assert [word for word in words if not exists(word)] == []


def test_a_key_that_does_not_exist_would_be_noticed() -> None:
    assert exists("gateway.timeouts.head")
    assert exists("upstream.app.keep_alive.idle")
    assert exists("route.path_exact")
    assert exists("retry.attempts")
    assert not exists("gateway.timeouts.had")
    assert not exists("upstream.app.keepalive.idle")


# What is told of statuses, verdicts and other gateways.


def test_every_status_has_its_row_and_every_verdict_too() -> None:
    page = (ROOT / "docs" / "behaviour.md").read_text()
    rows = {int(status) for status in re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)}
    assert rows == {cause.status for cause in catalogue().values()}
    assert [verdict for verdict in VERDICTS if f"`{verdict}`" not in page] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=name)
def test_the_number_of_causes(page: Path) -> None:
    counts = re.findall(r"\b(\d+) causes|\*\*Causes\*\*: (\d+)", page.read_text())
    assert counts
    assert {int(first or second) for first, second in counts} == {len(catalogue())}


def test_the_readme_compares_as_the_lab_does() -> None:
    rows = re.findall(r"^\| (.+?)<br>`[a-z0-9-]+` \| (.+) \|$", (ROOT / "docs" / "lab.md").read_text(), re.MULTILINE)
    lab = {title: [cell.replace("<br>", " ") for cell in cells.split(" | ")] for title, cells in rows}
    table = (ROOT / "README.md").read_text().split("| fault |")[1].split("\n\n")[0]
    shown = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(shown) >= 8
    for title, nginx, haproxy, envoy, headgate in shown:
        assert [headgate, nginx, haproxy, envoy] == lab[title][1:], title


# Examples that run.

RUNNABLE = [line for page in OWN for text in blocks(page, "sh", runnable=True) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("line", RUNNABLE)
def test_runnable_lines_run(line: str) -> None:
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("with_file", [False, True], ids=["to", "file"])
def test_the_readme_starts_a_gateway_that_answers_as_shown(tmp_path: Path, with_file: bool) -> None:
    """Serve as the README does, at other ports, and compare the answer and the error line with those that it shows."""
    readme = ROOT / "README.md"
    ports = {"8080": str(free_port()), "3000": str(free_port()), "3001": str(free_port())}

    def moved(text: str) -> str:
        return re.sub(r"\b(8080|3000|3001)\b", lambda found: ports[found[1]], text)

    lines = [line for text in blocks(readme, "sh") for line in text.splitlines() if line.startswith("headgate serve ")]
    line = next(line for line in lines if ("--to" in line) is not with_file)
    toml = moved(blocks(readme, "toml")[0])
    (tmp_path / "headgate.toml").write_text(re.sub(r"^details_for.*$", "", toml, flags=re.MULTILINE))
    command = [sys.executable, "-m", *shlex.split(moved(line))]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            answer = _ask(int(ports["8080"]))
        finally:
            process.terminate()
        errors = process.communicate(timeout=10)[1]
    shown = json.loads(blocks(readme, "json")[0])["error"]
    assert answer.keys() == shown.keys()
    assert {**answer, "reference": ""} == {**shown, "reference": ""}
    shown_line = next(text for text in blocks(readme, "") if text.startswith("time="))
    error = next(text for text in errors.splitlines() if text.startswith("time="))
    assert set(re.findall(r"(?:^| )([a-z]+)=", error)) >= set(re.findall(r"(?:^| )([a-z]+)=", shown_line))
    assert "cause=connection-refused" in error


def _ask(port: int) -> dict[str, Any]:
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            body = connection.getresponse().read()
            found: dict[str, Any] = json.loads(body)["error"]
            return found
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the gateway did not start")
