import ast
import re
import tomllib
from importlib.resources import files

import pytest

from headgate.wire.refusal import EXCERPT, RULES, malformed, too_large, unsupported

NAME = re.compile(r"[a-z]+(-[a-z]+)*")
FACTORIES = ("malformed", "unsupported", "_malformed")


def strings(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def rules_in_package() -> set[str]:
    """Every string that is handed to a maker of refusals, or returned as a rule to one."""
    used: set[str] = set()
    for file in (files("headgate") / "wire").iterdir():
        if not file.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (
                getattr(node.func, "id", "") in FACTORIES or getattr(node.func, "attr", "") in FACTORIES
            ):
                used |= strings(node.args[0])
            elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in ("_LINE_ENDS", "_TRAILER_RULES"):
                used |= strings(node)
    return used


def test_every_rule_the_package_names_is_explained() -> None:
    used = rules_in_package()
    assert len(used) > 25
    assert used <= set(RULES)


def test_every_rule_is_named_somewhere() -> None:
    in_line_fault = {"no-colon", "obs-fold", "space-before-colon", "field-name", "field-value"}  # returned by grammar.line_fault
    by_the_data_plane = {"unsolicited"}
    assert set(RULES) == rules_in_package() | in_line_fault | by_the_data_plane


def test_every_rule_of_the_classification_is_explained() -> None:
    text = (files("headgate") / "knowledge" / "classification.toml").read_text(encoding="utf-8")
    named: set[str] = set()
    for row in tomllib.loads(text)["row"]:
        if row["signal"] in ("malformed", "client-malformed", "client-unsupported"):
            rule = row.get("facts", {}).get("rule", [])
            named |= {rule} if isinstance(rule, str) else set(rule)
    assert len(named) > 20
    assert named <= set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_explanations_are_one_line_that_names_its_source(rule: str) -> None:
    assert NAME.fullmatch(rule)
    assert re.fullmatch(r"[^\n]{20,120} \(RFC 91[0-9]{2} [0-9.]+( to [0-9.]+)?\)", RULES[rule])


@pytest.mark.parametrize("offset", [0, 10, 30, 199, 200])
def test_an_excerpt_surrounds_the_offending_byte(offset: int) -> None:
    data = bytes(range(200))
    found = malformed("field-value", data, offset).facts["excerpt"]
    assert len(found) <= EXCERPT
    assert found in data
    assert data[offset : offset + 1] in found


def test_texts() -> None:
    assert str(malformed("obs-fold", b"abc", 1)) == f"{RULES['obs-fold']}, at byte 1: b'abc'"
    assert str(unsupported("version", b"HTTP/2", 5)).endswith("at byte 5: b'HTTP/2'")
    assert str(too_large("request_line_bytes", 8192, 9000)) == "more than 8192 (request_line_bytes)"


def test_names_are_bounded_and_text() -> None:
    assert malformed("field-value", b"", 0, b"\xff" * 500).facts["header_name"] == "\xff" * EXCERPT
    assert too_large("x", 1, 2, b"A" * 500).facts["header_name"] == "A" * EXCERPT
    assert "header_name" not in too_large("x", 1, 2).facts
