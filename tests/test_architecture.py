"""The law of the house, read from the code itself: who may import whom, and what every module must say of itself."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "headgate"
LAYERS = {
    "model": 0,
    "wire": 1,
    "config": 2,
    "diagnose": 3,
    "render": 4,
    "net": 5,
    "traffic": 5,
    "incidents": 5,
    "notify": 5,
    "gateway": 6,
    "control": 6,
    "probe": 6,
    "logs": 6,
    "watch": 6,
    "web": 6,
    "lab": 6,
    "cli": 7,
}
"""Parts of the package by height: each may import only what lies below it, and nothing beside it."""
PURE = ("model", "wire", "diagnose")
"""Parts that know no sockets and no event loop."""
IMPURE = {"asyncio", "socket", "ssl", "uvloop", "select", "selectors", "threading", "subprocess"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return what a module imports, absolute names; our own as "headgate.part.module"."""
    found = set()
    package = ("headgate", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join((*base, *(node.module or "").split("."))).strip("."))
    return found


def part(name: str) -> str | None:
    words = name.split(".")
    return words[1] if words[0] == "headgate" and len(words) > 1 and words[1] in LAYERS else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_keeps_the_law(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{relative} does not say which decision it owns"
    if len(relative.parts) == 1:
        return
    own = relative.parts[0]
    assert own in LAYERS, f"{relative}: where does {own} stand among {', '.join(LAYERS)}?"
    for name in imports(path):
        other = part(name)
        if other is not None and other != own:
            assert LAYERS[other] < LAYERS[own], f"{relative} imports {name}: {own} may import only what lies below it"
        if own in PURE:
            assert name.split(".")[0] not in IMPURE, f"{relative} imports {name}: {own} knows no sockets and no event loop"


def test_every_folder_is_known() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "knowledge")}
    assert folders == set(LAYERS)


def test_files_stay_readable() -> None:
    long = {str(path.relative_to(PACKAGE)): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 400}
    assert not long, f"over 400 lines, so probably more than one decision: {long}"
