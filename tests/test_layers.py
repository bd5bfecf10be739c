"""Imports go down only, relative across folders; torch and onnxruntime stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEVELS = {
    "cli": 5,
    "pipeline": 4,
    "exporter": 3,
    "training": 3,
    "deploy": 3,
    "runtime": 3,
    "passes": 3,
    "calib_data": 2,
    "core": 1,
}
HEAVY = {
    "torch": {"exporter", "training", "calib_data/torch_dataset.py"},
    "onnxruntime": {"runtime", "deploy", "calib_data"},
}
MODULES = sorted(path for folder in LEVELS for path in (ROOT / folder).rglob("*.py"))


def imports(tree: ast.AST, for_types: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Each import of a module: how many dots, its name, and whether only type checkers see it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is None:
            yield from ((node.level, alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", for_types
        guards = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        yield from imports(node, for_types or guards)


def crossings(path: Path, source: str) -> list[str]:
    """What a module imports that its layer may not import."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = parts[0]
    wrong = []
    for dots, name, _ in imports(ast.parse(source)):
        if dots == 0:
            if name.split(".")[0] == "sardonyx":
                wrong.append(f"absolute import of {name}")
            continue
        if dots < len(parts):
            continue  # stays inside its folder
        other = name.split(".")[0]
        if other not in LEVELS or LEVELS[other] >= LEVELS[own]:
            wrong.append(f"{own} imports {other}")
    return wrong


def misplaced(path: Path, source: str) -> list[str]:
    """Heavy libraries that a module imports and may not."""
    place = path.relative_to(ROOT).as_posix()
    found = {name.split(".")[0] for dots, name, typed in imports(ast.parse(source)) if not dots and not typed}
    return [
        library
        for library, allowed in HEAVY.items()
        if library in found and not any(place == a or place.startswith(f"{a}/") for a in allowed)
    ]


def identify(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_imports_go_down(path: Path) -> None:
    assert crossings(path, path.read_text(encoding="utf8")) == []


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_heavy_libraries_stay_in_their_folders(path: Path) -> None:
    assert misplaced(path, path.read_text(encoding="utf8")) == []


@pytest.mark.parametrize(
    ("place", "source", "complaint"),
    [
        ("core/x.py", "from ..passes import y", "core imports passes"),
        ("passes/x.py", "from ..runtime.sessions import y", "passes imports runtime"),
        ("passes/pruning/x.py", "from ...runtime import y", "passes imports runtime"),
        ("pipeline/x.py", "def f():\n    from ..cli import y", "pipeline imports cli"),
        ("cli/x.py", "import sardonyx.core", "absolute import of sardonyx.core"),
    ],
)
def test_a_crossing_is_found(place: str, source: str, complaint: str) -> None:
    assert crossings(ROOT / place, source) == [complaint]


@pytest.mark.parametrize(
    ("place", "source", "library"),
    [
        ("passes/x.py", "import torch.nn", "torch"),
        ("pipeline/x.py", "def f():\n    import onnxruntime", "onnxruntime"),
    ],
)
def test_a_misplaced_library_is_found(place: str, source: str, library: str) -> None:
    assert misplaced(ROOT / place, source) == [library]


def test_types_may_be_named_anywhere() -> None:
    assert misplaced(ROOT / "pipeline/x.py", "if TYPE_CHECKING:\n    import torch") == []


def test_every_folder_of_the_package_has_a_level() -> None:
    folders = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"api", "tests"}
    assert folders <= set(LEVELS)
