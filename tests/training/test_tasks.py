"""Training and distilling: it learns, it repeats, it resumes, it stops."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ExpectationError, UsageError
from sardonyx.training import (
    DistillOptions,
    TrainOptions,
    distill,
    evaluate_top1,
    loop,
    resume_path,
    train_supervised,
)
from torch import nn

QUICK = TrainOptions(
    epochs=4, batch_size=32, learning_rate=0.05, validation_ratio=0.2, shift=1, precision="fp32"
)


class Stop(Exception):
    """Raised from the progress callback: an interrupted run."""


def stop_after(steps: int):
    def progress(done: int, total: int) -> None:
        if done > steps:
            raise Stop

    return progress


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_it_learns_and_keeps_the_best(net, images, other_images, tmp_path) -> None:
    module = net()
    report = train_supervised(module, images, other_images, QUICK, checkpoint=tmp_path / "w.safetensors")
    best = max(row.validation_top1_ratio for row in report.history)
    assert report.evaluation_top1_ratio > 0.8
    assert report.validation_top1_ratio == best == report.history[report.best_epoch - 1].validation_top1_ratio
    assert report.history[-1].losses["total"] < report.history[0].losses["total"]
    assert same(load_file(tmp_path / "w.safetensors"), dict(module.state_dict()))


def test_the_report_counts(net, images, other_images, tmp_path) -> None:
    report = train_supervised(net(), images, other_images, QUICK, checkpoint=tmp_path / "w.safetensors")
    assert (report.train_samples, report.validation_samples, report.evaluation_samples) == (128, 32, 64)
    assert (report.params, report.precision, report.processes) == (8 * 9 + 16 + 36 * 8 * 3 + 3, "fp32", 1)
    assert report.options == dataclasses.asdict(QUICK)


def test_the_evaluation_samples_choose_nothing(net, images, other_images, tmp_path) -> None:
    wrong = replace(other_images, all_labels=(other_images.all_labels + 1) % 3)
    runs = [
        train_supervised(net(), images, e, QUICK, checkpoint=tmp_path / "w.safetensors")
        for e in (other_images, wrong)
    ]
    assert runs[0].best_epoch == runs[1].best_epoch
    assert [r.losses for r in runs[0].history] == [r.losses for r in runs[1].history]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_ends_in_the_same_bits(
    net, images, other_images, tmp_path, optimizer, precision
) -> None:
    options = replace(QUICK, optimizer=optimizer, precision=precision, flip=True, erase=0.3)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    reports = [train_supervised(net(), images, other_images, options, checkpoint=whole)]
    for epochs in (1, 3):
        with pytest.raises(Stop):
            train_supervised(
                net(),
                images,
                other_images,
                options,
                checkpoint=parts,
                resume=True,
                progress=stop_after(epochs * 4 + 2),
            )
        torch.rand(5)  # the state of torch's own generator must not matter
    assert not parts.exists()
    reports.append(train_supervised(net(), images, other_images, options, checkpoint=parts, resume=True))
    assert reports[1].resumed_epochs == 3
    assert whole.read_bytes() == parts.read_bytes()
    assert [r.losses for r in reports[0].history] == [r.losses for r in reports[1].history]
    assert same(load_file(resume_path(whole)), load_file(resume_path(parts)))


def test_seeds_differ(net, images, other_images, tmp_path) -> None:
    for seed in (0, 1):
        options = replace(QUICK, epochs=1, seed=seed)
        train_supervised(net(), images, other_images, options, checkpoint=tmp_path / f"{seed}.safetensors")
    assert (tmp_path / "0.safetensors").read_bytes() != (tmp_path / "1.safetensors").read_bytes()


def test_chance_elsewhere_is_left_alone(net, images, other_images, tmp_path) -> None:
    module = net()
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    train_supervised(
        module, images, other_images, replace(QUICK, epochs=1), checkpoint=tmp_path / "w.safetensors"
    )
    assert torch.equal(torch.rand(1), wanted)


def test_a_run_with_other_options_is_not_taken_up(net, images, other_images, tmp_path) -> None:
    checkpoint = tmp_path / "w.safetensors"
    train_supervised(net(), images, other_images, replace(QUICK, epochs=1), checkpoint=checkpoint)
    with pytest.raises(UsageError, match="another options"):
        train_supervised(net(), images, other_images, QUICK, checkpoint=checkpoint, resume=True)


def test_a_student_learns_from_its_teacher(net, images, other_images, tmp_path) -> None:
    teacher, student = net(16, 0.0).eval(), net(4, 0.0)
    train_supervised(teacher, images, other_images, QUICK, checkpoint=tmp_path / "t.safetensors")
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    options = DistillOptions(**dataclasses.asdict(QUICK), temperature=2.0, teacher_weight=0.8)
    report = distill(student, teacher, images, other_images, options, checkpoint=tmp_path / "s.safetensors")
    assert report.teacher_top1_ratio == evaluate_top1(teacher, other_images)
    assert report.evaluation_top1_ratio == evaluate_top1(student, other_images) > 0.8
    assert report.agreement_ratio > 0.8
    assert {"total", "teacher", "labels"} == set(report.history[0].losses)
    assert same(before, dict(teacher.state_dict()))


def test_an_unlike_teacher_is_refused(net, images, other_images, tmp_path) -> None:
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    with pytest.raises(UsageError, match=r"student gives \(1, 3\) .* teacher \(1, 5\)"):
        distill(net(), teacher, images, other_images, checkpoint=tmp_path / "s.safetensors")


def test_another_teacher_is_another_training(net, images, other_images, tmp_path) -> None:
    options = DistillOptions(**dataclasses.asdict(replace(QUICK, epochs=1)))
    checkpoint = tmp_path / "s.safetensors"
    distill(net(4), net(8), images, other_images, options, checkpoint=checkpoint)
    with pytest.raises(UsageError, match="another teacher"):
        distill(net(4), net(16), images, other_images, options, checkpoint=checkpoint, resume=True)


def test_a_loss_that_is_no_number_stops_with_its_place(net, images, other_images, tmp_path) -> None:
    array = images.source.arrays["image"].copy()
    array[17] = np.nan
    broken = CalibrationData.from_arrays({"image": array}, images.labels)
    fit, _ = broken.split(QUICK.validation_ratio, seed=QUICK.seed)
    place = fit.indices.index(17)
    with pytest.raises(ExpectationError, match=rf"epoch 1, step \d .* sample {place} is not finite"):
        train_supervised(net(), broken, other_images, QUICK, checkpoint=tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_a_rate_that_explodes_is_named(net, images, other_images, tmp_path) -> None:
    options = replace(QUICK, learning_rate=1e30, schedule="constant", epochs=2)
    with pytest.raises(ExpectationError, match="whose samples are finite"):
        train_supervised(net(), images, other_images, options, checkpoint=tmp_path / "w.safetensors")


def test_progress_counts_every_step(net, images, other_images, tmp_path) -> None:
    seen: list[tuple[int, int]] = []
    train_supervised(
        net(),
        images,
        other_images,
        replace(QUICK, epochs=2),
        checkpoint=tmp_path / "w.safetensors",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 8) for i in range(1, 9)]


@pytest.mark.parametrize("missing", ["train", "evaluation"])
def test_labels_are_needed_before_the_start(net, images, other_images, tmp_path, missing) -> None:
    data = {"train": images, "evaluation": other_images}
    data[missing] = replace(data[missing], all_labels=None)
    with pytest.raises(DataError, match="no labels"):
        train_supervised(net(), **data, options=QUICK, checkpoint=tmp_path / "w.safetensors")


def test_auto_precision_follows_the_hardware(monkeypatch) -> None:
    for flags, precision in (({"avx512_bf16"}, "bf16"), ({"avx2"}, "fp32")):
        monkeypatch.setattr(loop, "cpu_flags", lambda flags=flags: frozenset(flags))
        assert loop.choose_precision(TrainOptions(), torch.device("cpu")) == precision


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
WORKER = """
import os, sys, torch
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from dataclasses import replace
from conftest import make_images, make_net
from sardonyx.training import TrainOptions, train_supervised
torch.set_num_threads(1)
options = TrainOptions(epochs=2, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32")
report = train_supervised(make_net(), make_images(160, 0), make_images(64, 1), options, checkpoint=Path(sys.argv[1]))
place = Path(sys.argv[1]).with_name("rank" + os.environ["RANK"])
place.write_text(f"{report.processes} {report.evaluation_top1_ratio}")  # the processes' standard outputs mingle
"""


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path) -> None:
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf8")
    run = subprocess.run(
        [*TORCHRUN, "worker.py", "w.safetensors", str(Path(__file__).parent)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    one, other = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert one == other
    assert one.startswith("2 ")
    assert (tmp_path / "w.safetensors").exists()


def test_a_batch_that_does_not_divide_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(loop, "Accelerator", lambda **_: SimpleNamespace(num_processes=2))
    with pytest.raises(UsageError, match="batch_size 33 does not divide among 2 processes"):
        loop.make_accelerator(TrainOptions(batch_size=33))
