"""Curves as files: a line for each epoch, whole after an interruption too."""

from __future__ import annotations

import builtins
import json

import pytest
from sardonyx.core.errors import MissingExtraError, StorageError
from sardonyx.training import EpochRow, TrainOptions, curves_path
from sardonyx.training import curves as module
from sardonyx.training.curves import Curves

ROWS = [EpochRow(i, {"total": 3.0 / i, "labels": 1.0 / i}, 0.1, 0.5, 2.0, 0.5) for i in (1, 2, 3)]


def test_each_epoch_is_a_line(tmp_path) -> None:
    checkpoint = tmp_path / "student.safetensors"
    curves = Curves(checkpoint, TrainOptions(epochs=8))
    curves.write(ROWS[:1])
    curves.write(ROWS)
    lines = [json.loads(line) for line in curves_path(checkpoint).read_text().splitlines()]
    assert curves_path(checkpoint).name == "student.metrics.jsonl"
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[1]["loss/total"] == 1.5
    assert lines[2]["validation_score"] == 0.5
    assert [line["seconds_left"] for line in lines] == [14.0, 12.0, 10.0]


def test_a_folder_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(StorageError):
        Curves(tmp_path / "nowhere/w.safetensors", TrainOptions()).write(ROWS)


def test_the_board_gets_the_latest(tmp_path, monkeypatch) -> None:
    drawn = []

    class Board:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            drawn.append((name, value, step))

        def flush(self) -> None:
            drawn.append(("flush", 0.0, 0))

    monkeypatch.setattr(module, "_board", lambda folder: Board())
    curves = Curves(tmp_path / "w.safetensors", TrainOptions(tensorboard=True))
    curves.write(ROWS[:2])
    assert ("loss/labels", 0.5, 2) in drawn
    assert {step for _, _, step in drawn} == {0, 2}


def test_a_missing_board_is_named(tmp_path, monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError(name="tensorboard")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="tensorboard is not installed"):
        Curves(tmp_path / "w.safetensors", TrainOptions(tensorboard=True))
