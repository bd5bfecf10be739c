"""Floors of dependencies are those that advisories set, the rules of bandit are on, and one door reads models."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from source_files import ROOT, SOURCES, identify

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
READS = re.compile(
    r"\bonnx\.load\w*\(|\bir\.load\(|ModelProto\.FromString\(|\.ParseFromString\(|\.MergeFromString\("
    r"|\bload_model\w*\(|InferenceSession\(\s*(str\(|os\.fspath\()"
)
READERS = {
    "core/artifact.py": "what passed the door",
    "core/detach.py": "a message of our own",
    "core/large_files.py": "a message of our own",
    "core/inference_child.py": "what the parent sends",
    "core/model_file.py": "the door itself",
    "exporter/attempts.py": "what torch has just written into memory",
    "runtime/optimized.py": "what ONNX Runtime has just written",
}


def floors() -> dict[str, str]:
    project = PROJECT["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["torch"]]
    found = (re.match(r"([\w-]+)>=([\d.]+)", requirement) for requirement in listed)
    return {match[1]: match[2] for match in found if match}


def test_floors_are_those_that_advisories_set() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf8")
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| .*(?:CVE|GHSA)-", page, re.MULTILINE)
    assert {name: floors()[name] for name, _ in rows} == dict(rows)
    assert {"onnx", "torch"} <= {name for name, _ in rows}


def test_the_rules_of_bandit_are_on() -> None:
    rules = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in rules["extend-select"]
    # assert; subprocess without a shell, by name: each call site passes a list
    assert {rule for rule in rules["ignore"] if rule.startswith("S") and rule[1].isdigit()} == {
        "S101",
        "S603",
        "S607",
    }


@pytest.mark.parametrize("target", ["audit", "licences", "sbom", "fuzz"])
def test_targets_are_there(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("path", [p for p in SOURCES if identify(p) not in READERS], ids=identify)
def test_one_door_reads_models(path: Path) -> None:
    lines = path.read_text(encoding="utf8").split("\n")
    assert [line.strip() for line in lines if READS.search(line.split("#")[0])] == []


@pytest.mark.parametrize("reader", READERS)
def test_whoever_may_read_does(reader: str) -> None:
    assert READS.search((ROOT / reader).read_text(encoding="utf8")), READERS[reader]


@pytest.mark.parametrize("path", ["SECURITY.md", "docs/threat_model.md"])
def test_what_the_pages_name_is_there(path: str) -> None:
    named = re.findall(r"`((?:core|tests)/[\w./]+)`", (ROOT / path).read_text(encoding="utf8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
