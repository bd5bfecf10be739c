"""What each form of distillation gives a small network: the table of the lecture, and rows of our own.

    python benchmarks/distillation/run.py
    python benchmarks/distillation/run.py --data cifar10 --root FOLDER --samples 50000 --seeds 3

One teacher is trained; then, for every seed, a student alone, one for every form, and two that teach each other: the
same first weights, the same order of the same images. Kept between runs in --work: a run that was stopped goes on.
Prints the table, and writes it to --docs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sardonyx as sx
import torch
from torch import nn

sys.path.append(str(Path(__file__).absolute().parents[1] / "side_by_side"))

from forms import ALONE, BY_ANSWERS, FEW_ALONE, LECTURE, MUTUAL, OURS, Form
from networks import Image, student, teacher
from report import Row, page, table, verdicts
from sardonyx.exporter import load_weights
from sardonyx.runtime import environment_fingerprint
from sardonyx.training import (
    DistillOptions,
    MutualOptions,
    TrainOptions,
    TrainReport,
    distill,
    distill_mutually,
    make_module,
    train_supervised,
)

NAME = "distillation_benchmark"
"""What the page is called."""


@dataclasses.dataclass(frozen=True)
class Class:
    """Who learns what.

    Attributes:
        train: Training images.
        test: Test images.
        shared: Options of every training.
        work: Where weights are kept.
    """

    train: sx.CalibrationData
    test: sx.CalibrationData
    shared: dict[str, Any]
    work: Path

    @property
    def image(self) -> Image:
        """What one image is."""
        shape = self.train.source.read(self.train.indices[:1])["image"].shape
        return shape[1], shape[2], shape[3]

    def fresh(self, seed: int) -> nn.Module:
        """A student before its first lesson."""
        return make_module(lambda: student(self.image), seed)

    def taught(self, name: str, seed: int, work: Callable[[Path], TrainReport]) -> dict[str, Any]:
        """The figures of one training: done now, or read from an earlier run."""
        place = (
            self.work / f"{name.replace(' ', '-').replace(',', '').replace(chr(39), '')}.{seed}.safetensors"
        )
        figures = place.with_suffix(".json")
        if figures.is_file():
            found: dict[str, Any] = json.loads(figures.read_text())
            return found
        report = work(place)
        found = {"top1": report.evaluation_score, "params": report.params, "seconds": report.seconds}
        figures.write_text(json.dumps(found))
        print(
            f"{name}, seed {seed}: {found['top1']:.4f} after {found['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        return found


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    room = _class(arguments)
    master, teacher_row = _teacher(room, arguments.teacher_epochs)
    seeds = range(arguments.seeds)
    alone = _alone(room, ALONE, seeds, len(room.train))
    lecture = [teacher_row, alone, *(_taught(room, form, master, seeds) for form in LECTURE)]
    ours = [alone, _mutual(room, seeds), *(_taught(room, form, master, seeds) for form in OURS)]
    few = [_alone(room, FEW_ALONE, seeds, arguments.labels), _taught(room, BY_ANSWERS, master, seeds)]
    tables = {
        "The lecture's rows": table(lecture, alone),
        "Rows of our own": table(ours, alone),
        f"With labels for {arguments.labels:,} images": table(few, few[0]),
    }
    sentences = [*verdicts(lecture, alone), *verdicts(ours, alone), *verdicts(few, few[0])]
    text = page(tables, sentences, _about(arguments, room))
    arguments.docs.mkdir(parents=True, exist_ok=True)
    (arguments.docs / f"{NAME}.md").write_text(text, encoding="utf8")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", choices=("fashion-mnist", "cifar10"), default="fashion-mnist")
    parser.add_argument("--root", type=Path, help="the folder of the data set, where it has no usual place")
    parser.add_argument("--samples", type=int, default=10_000, help="training images")
    parser.add_argument("--limit", type=int, help="test images; all of them where not given")
    parser.add_argument("--epochs", type=int, default=20, help="of every student")
    parser.add_argument("--teacher-epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--labels", type=int, default=1_000, help="labelled images of the last table")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("out/distillation_benchmark"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    return parser


def _class(arguments: argparse.Namespace) -> Class:
    limit = "" if arguments.limit is None else f":{arguments.limit}"
    # One step of learning rate and no augmentation, as in the lecture.
    shared = {
        "epochs": arguments.epochs,
        "batch_size": 128,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "validation_ratio": 0.05,
        "precision": "fp32",
    }
    key = f"{arguments.data}-{arguments.samples}-{arguments.limit or 'all'}-{arguments.epochs}-{arguments.teacher_epochs}"
    work = (arguments.work / key).absolute()
    work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SARDONYX_CACHE", str(work / "cache"))
    return Class(
        sx.open_data(f"{arguments.data}:train:{arguments.samples}", root=arguments.root),
        sx.open_data(f"{arguments.data}:test{limit}", root=arguments.root),
        shared,
        work,
    )


def _teacher(room: Class, epochs: int) -> tuple[nn.Module, Row]:
    module = make_module(lambda: teacher(room.image), 0)
    options = TrainOptions(**{**room.shared, "epochs": epochs})
    found = room.taught(
        "teacher",
        0,
        lambda place: train_supervised(module, room.train, room.test, options, checkpoint=place, resume=True),
    )
    load_weights(module, room.work / "teacher.0.safetensors")
    row = Row("teacher", found["params"], [found["top1"]], found["seconds"], "labels; one for all seeds")
    return module.eval(), row


def _alone(room: Class, name: str, seeds: range, labels: int) -> Row:
    """The student on the labels of so many images, in as many steps as with all of them."""
    few = room.train if labels == len(room.train) else room.train.subset(labels, seed=0)
    epochs = room.shared["epochs"] * len(room.train) // len(few)

    def work(seed: int) -> Callable[[Path], TrainReport]:
        options = TrainOptions(**{**room.shared, "epochs": epochs}, seed=seed)
        return lambda place: train_supervised(
            room.fresh(seed), few, room.test, options, checkpoint=place, resume=True
        )

    return _row(
        name, f"labels of {len(few):,} images", [room.taught(name, seed, work(seed)) for seed in seeds]
    )


def _taught(room: Class, form: Form, master: nn.Module, seeds: range) -> Row:
    def work(seed: int) -> Callable[[Path], TrainReport]:
        options = DistillOptions(**room.shared, **form.options, seed=seed)
        return lambda place: distill(
            room.fresh(seed), master, room.train, room.test, options, checkpoint=place, resume=True
        )

    return _row(form.name, form.remark, [room.taught(form.name, seed, work(seed)) for seed in seeds])


def _mutual(room: Class, seeds: range) -> Row:
    """The first of the two, which begins as the student alone does."""

    def work(seed: int) -> Callable[[Path], TrainReport]:
        options = MutualOptions(**room.shared, seed=seed)
        pair = [room.fresh(seed), room.fresh(seed + 1000)]
        return lambda place: distill_mutually(
            pair, room.train, room.test, options, checkpoint=place, resume=True
        ).networks[0]

    return _row(
        MUTUAL,
        "labels and the other's answers; the first of two",
        [room.taught(MUTUAL, s, work(s)) for s in seeds],
    )


def _row(name: str, remark: str, found: list[dict[str, Any]]) -> Row:
    seconds = statistics.fmean(one["seconds"] for one in found)
    return Row(name, found[0]["params"], [one["top1"] for one in found], seconds, remark)


def _about(arguments: argparse.Namespace, room: Class) -> str:
    here = environment_fingerprint()
    classes = len(np.unique(room.test.labels))
    return (
        f"Printed by `benchmarks/distillation/run.py`: {arguments.data}, {len(room.train):,} training images (a twentieth "
        f"of them held out to choose the best epoch), {len(room.test):,} test images, {classes} classes; "
        f"{arguments.epochs} epochs ({arguments.teacher_epochs} for the teacher) of Adam at 0.001 in batches of 128, without "
        f"augmentation; {arguments.seeds} seeds of first weights, order and split, one teacher for all. {here.cpu}, threads: {arguments.threads}, "
        f"torch {torch.__version__}.\n\n"
        "Intervals are Student's t over seeds; the difference to the student without a teacher is taken seed by seed: "
        "both begin with the same weights and see the same images in the same order. The losses are those of the "
        "knowledge-distillation tutorial of PyTorch, with its weights; the networks are of the same sizes. *seconds* is "
        "the training of one seed, without the teacher's answers, which are computed once and kept."
    )


if __name__ == "__main__":
    main()
