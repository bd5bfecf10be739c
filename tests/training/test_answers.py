"""A teacher's answers, kept: the same as live ones, and thrown away when they are not what is looked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError
from sardonyx.core.limits import Limits, use_limits
from sardonyx.training.answers import Live, keep_answers
from sardonyx.training.batches import Batch, read_samples


class Counting(torch.nn.Linear):
    """Counts its passes."""

    passes = 0

    def forward(self, rows):
        self.passes += 1
        return super().forward(rows)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return Counting(4, 3).eval()


@pytest.fixture
def data():
    return CalibrationData.from_arrays(
        {"x": np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)}
    )


def keep(teacher, data, digest="t", key="d", layers=()):
    return keep_answers(Live(teacher, layers), digest, data, key, Accelerator(cpu=True))


def test_kept_answers_are_the_live_ones(teacher, data) -> None:
    batch = Batch(read_samples(data, [7, 2]), None, torch.tensor([7, 2]))
    both = torch.nn.Sequential(teacher, torch.nn.ReLU()).eval()
    kept, values = keep(both, data, layers=["0"]).answer(batch)
    live, layers = Live(both, ["0"]).answer(batch)
    torch.testing.assert_close(kept, live)
    torch.testing.assert_close(values["0"], layers["0"])
    assert not live.requires_grad


def test_they_are_computed_once(teacher, data) -> None:
    assert not keep(teacher, data).is_reused
    before = teacher.passes
    assert keep(teacher, data).is_reused
    assert teacher.passes == before + 1  # a few samples, to see that it still answers so


def test_a_teacher_that_does_something_else_with_its_weights_is_asked_anew(teacher, data) -> None:
    keep(teacher, data)
    changed = torch.nn.Sequential(teacher, torch.nn.Tanh()).eval()
    kept = keep(changed, data)
    assert not kept.is_reused
    assert kept.outputs.abs().max() <= 1


@pytest.mark.parametrize("other", [{"digest": "u"}, {"key": "e"}, {"layers": ["0"]}])
def test_others_are_computed_anew(teacher, data, other) -> None:
    both = torch.nn.Sequential(teacher).eval()
    keep(both, data)
    assert not keep(both, data, **other).is_reused


@pytest.mark.parametrize("damage", ["cut", "nan", "shape", "name"])
def test_a_damaged_file_is_as_good_as_none(teacher, data, cache, damage) -> None:
    right = keep(teacher, data).outputs
    (path,) = cache.rglob("*.safetensors")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    else:
        wrong = {"nan": right / 0, "shape": right[:5].clone(), "name": right}[damage]
        save_file({"other" if damage == "name" else "outputs": wrong}, path)
    again = keep(teacher, data)
    assert not again.is_reused
    assert torch.equal(again.outputs, right)
    assert keep(teacher, data).is_reused


def test_a_folder_that_cannot_be_written_costs_nothing(teacher, data, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "file"))
    assert keep(teacher, data).outputs.shape == (10, 3)


def test_large_answers_are_not_kept(teacher, data) -> None:
    with use_limits(Limits(statistics_bytes=4 * 3 * 10 - 1)):
        assert keep(teacher, data) is None


def test_answers_that_are_no_numbers_are_refused(teacher, data) -> None:
    teacher.weight.data[0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        keep(teacher, data)


def test_a_teacher_with_several_outputs_is_refused(data) -> None:
    class Twice(torch.nn.Module):
        def forward(self, rows):
            return rows, rows

    with pytest.raises(DataError, match="2 outputs where one is wanted"):
        keep(Twice(), data)
