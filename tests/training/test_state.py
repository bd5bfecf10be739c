"""What an interrupted training leaves behind comes back bit for bit, or is refused."""

from __future__ import annotations

import pytest
import torch
from sardonyx.core.errors import DataError, UsageError
from sardonyx.training import EpochRow, resume_path
from sardonyx.training.state import TrainState

IDENTITY = {"options": {"seed": 0}, "data": "abc"}


def state() -> TrainState:
    weights = {"w": torch.rand(3, 2), "n": torch.tensor(7)}
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.rand(3, 2)}, 1: {"rate": 0.1 + 0.2}}
    groups = [{"lr": 1 / 3, "params": [0, 1], "nesterov": True, "maximize": None}]
    row = EpochRow(1, {"total": 0.1}, 1 / 7, 0.5, 2.0, 0.5)
    best = {name: tensor + 1 for name, tensor in weights.items()}
    return TrainState(
        IDENTITY,
        [row],
        1,
        0.5,
        weights,
        best,
        {"state": moments, "param_groups": groups},
        {"aid": torch.rand(2)},
        ({"mask": torch.ones(2)}, {}),
        {"scale": 8.0},
    )


def test_round_trip(tmp_path) -> None:
    saved, path = state(), tmp_path / "s.safetensors"
    saved.save(path)
    loaded = TrainState.load(path, IDENTITY)
    assert (loaded.history, loaded.best_epoch, loaded.best_score) == (saved.history, 1, 0.5)
    assert all(torch.equal(loaded.weights[k], v) for k, v in saved.weights.items())
    assert all(torch.equal(loaded.best_weights[k], v) for k, v in saved.best_weights.items())
    assert torch.equal(loaded.optimizer["state"][0]["exp_avg"], saved.optimizer["state"][0]["exp_avg"])
    assert loaded.optimizer["state"][1] == {"rate": 0.1 + 0.2}
    assert torch.equal(loaded.aids["aid"], saved.aids["aid"])
    assert [set(hook) for hook in loaded.hooks] == [{"mask"}, set()]
    assert loaded.scaler == {"scale": 8.0}
    assert loaded.optimizer["param_groups"] == saved.optimizer["param_groups"]


@pytest.mark.parametrize("change", [{"data": "abd"}, {"options": {"seed": 1}}, {"more": 1}])
def test_another_training_is_refused(tmp_path, change) -> None:
    state().save(tmp_path / "s.safetensors")
    with pytest.raises(UsageError, match=f"another {next(iter(change))}"):
        TrainState.load(tmp_path / "s.safetensors", IDENTITY | change)


@pytest.mark.parametrize("cut", [0, 8, 100, -1])
def test_a_damaged_file_is_refused(tmp_path, cut) -> None:
    path = tmp_path / "s.safetensors"
    state().save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="cannot be taken up again"):
        TrainState.load(path, IDENTITY)


def test_resume_path_lies_beside(tmp_path) -> None:
    assert resume_path(tmp_path / "student.safetensors") == tmp_path / "student.resume.safetensors"
