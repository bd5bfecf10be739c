"""Size discipline and static gates: files, functions, annotations, docstrings, and what must not be written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest
from source_files import ROOT, SOURCES, TESTS, identify

Function = ast.FunctionDef | ast.AsyncFunctionDef

FORBIDDEN: dict[str, str] = {
    "pickle": r"^\s*(import|from) (pickle|cPickle|dill|cloudpickle|marshal|shelve)\b",
    "torch.load without weights_only=True": r"\btorch\.load\((?!.*weights_only=True)",
    "np.load without allow_pickle=False": r"\bnp\.load\((?!.*allow_pickle=False)",
    "yaml.load": r"\byaml\.(load|unsafe_load|full_load)\(",
    "eval or exec": r"(?<![\w.])(eval|exec)\(",
    "shell=True": r"\bshell\s*=\s*True",
    "os.system": r"\bos\.(system|popen)\(",
    "extractall": r"\.extractall\(",
    "mktemp": r"\bmktemp\(",
    "a blanket pass": r"except( Exception)?:\s*pass\b",
    "unfinished work": r"\b(TODO|FIXME|XXX)\b|\braise NotImplementedError\b",
}
WRITES = re.compile(
    r"""(?<![\w.])open\([^)]*["'][rb+]*[wax][rwabx+t]*["']|\.open\(\s*["'][wax]"""
    r"""|\.write_(text|bytes)\(|\bnp\.savez?(_compressed)?\("""
)
# The second writes into a temporary folder, for a child process.
WRITERS = {"core/files.py", "runtime/memory.py"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf8")


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def unannotated(node: Function) -> list[str]:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    variadic = [a for a in (node.args.vararg, node.args.kwarg) if a is not None]
    bare = [a.arg for a in (*arguments, *variadic) if a.annotation is None and a.arg not in {"self", "cls"}]
    return bare + ([] if node.returns is not None else ["return"])


def undocumented(tree: ast.Module) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    missing = [] if ast.get_docstring(tree) else ["module"]
    todo: list[tuple[str, ast.AST]] = [("", tree)]
    while todo:
        prefix, parent = todo.pop()
        for node in ast.iter_child_nodes(parent):
            if not isinstance(node, (*Function.__args__, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None and not _is_overload(node):
                missing.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                todo.append((f"{prefix}{node.name}.", node))
    return missing


def _is_overload(node: Function | ast.ClassDef) -> bool:
    return any(ast.unparse(d).split(".")[-1] in {"overload", "setter"} for d in node.decorator_list)


def gates(source: str) -> list[str]:
    """What a source holds that no source may hold."""
    lines = [line.split("#")[0] for line in source.split("\n")]
    return [name for name, pattern in FORBIDDEN.items() if any(re.search(pattern, line) for line in lines)]


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_a_file_fits_in_a_head(path: Path) -> None:
    source = read(path)
    assert source.count("\n") <= 600
    assert [f.name for f in functions(ast.parse(source)) if length(f) > 70] == []


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_everything_is_annotated_and_documented(path: Path) -> None:
    tree = ast.parse(read(path))
    assert {f.name: unannotated(f) for f in functions(tree) if unannotated(f)} == {}
    assert undocumented(tree) == []


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_static_gates(path: Path) -> None:
    assert gates(read(path)) == []


@pytest.mark.parametrize("path", [p for p in SOURCES if identify(p) not in WRITERS], ids=identify)
def test_only_core_files_writes_files(path: Path) -> None:
    assert [line.strip() for line in read(path).split("\n") if WRITES.search(line.split("#")[0])] == []


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=identify)
def test_names_say_what_a_module_holds(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}


def test_the_whole_is_made_of_small_parts() -> None:
    files = [read(path).count("\n") for path in SOURCES]
    lengths = [length(f) for path in SOURCES for f in functions(ast.parse(read(path)))]
    assert median(files) <= 180
    assert quantiles(files, n=10)[-1] <= 400
    assert median(lengths) <= 10
    assert quantiles(lengths, n=10)[-1] <= 35


def test_refusals_are_tested_too() -> None:
    sources = [read(path) for path in TESTS if path.parent != ROOT / "tests"]
    tests = sum(len(re.findall(r"^\s*def test_", source, re.MULTILINE)) for source in sources)
    refusals = sum(source.count("pytest.raises(") for source in sources)
    assert 4 * refusals >= tests


@pytest.mark.parametrize(
    ("source", "gate"),
    [
        ("import pickle", "pickle"),
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("x = eval(text)", "eval or exec"),
        ("run(x, shell=True)", "shell=True"),
        ("archive.extractall(path)", "extractall"),
    ],
)
def test_a_gate_closes(source: str, gate: str) -> None:
    assert gates(source) == [gate]


@pytest.mark.parametrize(
    "source", ["module.eval()", "torch.load(p, weights_only=True)", "# pickle is refused"]
)
def test_a_gate_lets_pass(source: str) -> None:
    assert gates(source) == []


@pytest.mark.parametrize(
    "line", ['open(p, "w")', "open(p, 'xb')", 'p.open("w")', "path.write_text(x)", "np.savez(p, x)"]
)
def test_a_write_is_found(line: str) -> None:
    assert WRITES.search(line)


@pytest.mark.parametrize(
    "line", ['open(p, "rb")', 'open("words.txt")', "file.write(x)", 'archive.open(name, "w")']
)
def test_a_read_is_let_pass(line: str) -> None:
    assert not WRITES.search(line)
