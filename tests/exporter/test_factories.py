"""Finding factories, and refusing what is none."""

from __future__ import annotations

import sys

import pytest
from sardonyx.core.errors import ModelError, UsageError
from sardonyx.exporter import load_factory
from torch import nn

CODE = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
import beside

@dataclass
class Widths:
    first: int = beside.WIDTH

def net() -> nn.Module:
    return nn.Linear(Widths().first, 1)

def number():
    return 7

def broken():
    raise RuntimeError("no weights")

constant = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nets.py").write_text(CODE, encoding="utf8")
    (tmp_path / "beside.py").write_text("WIDTH = 4", encoding="utf8")
    (tmp_path / "fails.py").write_text("1 / 0", encoding="utf8")
    yield tmp_path
    sys.modules.pop("beside", None)
    sys.modules.pop("nets", None)


def test_from_a_file_with_its_neighbours(folder) -> None:
    before = list(sys.path)
    assert load_factory(f"{folder}/nets.py:net")().in_features == 4
    assert sys.path == before


def test_from_the_current_folder(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert isinstance(load_factory("nets:net")(), nn.Module)


@pytest.mark.parametrize(
    "source",
    [
        "nets.py",
        "nets.py:",
        ":net",
        "nets.py:absent",
        "nets.py:constant",
        "missing.py:net",
        "no_such.pkg:net",
    ],
)
def test_unknown_sources_are_refused(folder, monkeypatch, source) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError):
        load_factory(source)


@pytest.mark.parametrize(("name", "cause"), [("number", "returns int"), ("broken", "no weights")])
def test_factories_that_make_no_module(folder, name, cause) -> None:
    factory = load_factory(f"{folder}/nets.py:{name}")
    with pytest.raises(ModelError, match=cause):
        factory()


def test_code_that_fails_on_import(folder) -> None:
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        load_factory(f"{folder}/fails.py:net")
