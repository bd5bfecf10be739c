"""Healing: a cut or otherwise changed graph learns to answer as the graph that it was made from.

The weights of the graph itself are trained in torch, by distillation (Hinton et al. 2015, arXiv:1503.02531), and go back
into the same graph: no source, no export. Labels help where the samples have them, and are not needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from ...calib_data.data import CalibrationData
from ...core.detach import model_digest
from ...core.tensors import Feed, input_specs
from ..batches import labels_of, read_samples
from ..graph import TrainableGraph
from ..layers import LayerPair
from ..lesson import Lesson
from ..loop import Progress
from ..matching import Match
from ..modules import make_module
from ..tasks import split, train_by
from .answers import find_answers, shared_names, spaced_values
from .estimate import estimate
from .options import HealOptions
from .pupil import Pupil, agreement, answers_right, first_logits, imitate
from .report import Answer, HealReport


@dataclass(frozen=True)
class Healed:
    """A healed graph and what was done.

    Attributes:
        model: The graph with the trained weights; nothing else in it differs.
        report: What was compared, epoch by epoch, before and after.
    """

    model: ir.Model
    report: HealReport


def heal(
    student: ir.Model,
    teacher: ir.Model,
    data: CalibrationData,
    options: HealOptions | None = None,
    *,
    checkpoint: Path,
    evaluation: CalibrationData | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Healed:
    """Train a graph to imitate another one.

    Args:
        student: The graph to train, left as it is.
        teacher: The graph it was made from, with the same inputs and outputs.
        data: Samples, with or without labels; a part is held out to choose the best epoch.
        options: How.
        checkpoint: As for :func:`~sardonyx.training.train_supervised`.
        evaluation: Other samples that the report's figures are of; the ones held out where left out.
        resume: Take up an interrupted run; where there is none, start.
        progress: Told the steps done and the steps in all.
        note: Told, in a sentence each, what is compared, and what it will take.

    Raises:
        DataError: The samples do not fit the graphs, or an answer is not finite.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        ModelError: An operator of a graph cannot be trained; it is named.
        UsageError: The graphs have other inputs or outputs, or nothing can be compared as asked.
    """
    graph = TrainableGraph(student)
    report = teach(
        graph,
        student,
        teacher,
        data,
        options,
        checkpoint=checkpoint,
        evaluation=evaluation,
        resume=resume,
        progress=progress,
        note=note,
    )
    return Healed(graph.write_back(), report)


def teach(
    graph: TrainableGraph,
    student: ir.Model,
    teacher: ir.Model,
    data: CalibrationData,
    options: HealOptions | None = None,
    *,
    checkpoint: Path,
    evaluation: CalibrationData | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> HealReport:
    """Train a trainable graph, which may be more than its weights, as :func:`heal` trains one.

    Args:
        graph: Trained in place.
        student: The graph that it was made of.
        teacher: As in :func:`heal`.
        data: As in :func:`heal`.
        options: As in :func:`heal`.
        checkpoint: As in :func:`heal`.
        evaluation: As in :func:`heal`.
        resume: As in :func:`heal`.
        progress: As in :func:`heal`.
        note: As in :func:`heal`.

    Raises:
        DataError: As in :func:`heal`.
        ExpectationError: As in :func:`heal`.
        ModelError: As in :func:`heal`.
        UsageError: As in :func:`heal`.
    """
    options, say = options or HealOptions(), note or _say_nothing
    data = data.for_model(input_specs(student))
    judged = split(data, options)[1] if evaluation is None else evaluation.for_model(input_specs(student))
    answers = find_answers(
        student, teacher, _output_shapes(teacher, data), classes=_classes(data), loss=options.loss
    )
    matched = _matched(student, teacher, data, options.features)
    pupil = Pupil(graph, [a.student for a in answers] + list(matched))
    master = Pupil(TrainableGraph(teacher), [a.teacher for a in answers] + list(matched))
    master.eval().requires_grad_(False)
    labelled = bool(_classes(data)) and first_logits(answers) is not None and options.label_weight > 0
    matches = _matches(pupil, master, data, matched, options.seed)
    lesson = Lesson(
        objective=imitate(master, answers, matches, options, labelled=labelled),
        judge=_judge(master, answers, labelled=labelled),
        metric="top1" if labelled else "agreement",
        read_labels=labels_of if labelled else None,
        aids=nn.ModuleList(matches),
        about={"teacher": model_digest(teacher), "student": model_digest(student)},
    )
    say(_sentence(answers, matched, labelled=labelled))
    expected = estimate(pupil, lesson.objective, data, options, labelled=labelled)
    say(f"{expected.steps} steps, about {expected.seconds:.0f} s and {expected.bytes / 1e6:.0f} MB")
    before, best = lesson.judge(pupil, judged), lesson.judge(master, judged)
    report = train_by(
        lesson, pupil, data, judged, options, checkpoint=checkpoint, resume=resume, progress=progress
    )
    fields = {f.name: getattr(report, f.name) for f in dataclasses.fields(report)}
    return HealReport(
        **fields,
        answers=answers,
        matched=matched,
        before_score=before,
        teacher_score=best,
        estimate=expected,
    )


def computed(model: ir.Model, feeds: Iterable[Feed], names: Sequence[str]) -> Iterator[Feed]:
    """What torch computes for values of a graph, feed by feed, to be compared with what a runtime does.

    Args:
        model: The graph.
        feeds: Inputs by name.
        names: The values.
    """
    graph = TrainableGraph(model).eval()
    for feed in feeds:
        with torch.no_grad():
            found = graph.run([torch.from_numpy(feed[name]) for name in graph.input_names], names)
        yield {name: value.numpy() for name, value in found.items()}


def _judge(
    master: Pupil, answers: tuple[Answer, ...], *, labelled: bool
) -> Callable[[nn.Module, CalibrationData], float]:
    index = first_logits(answers)

    def judge(module: nn.Module, data: CalibrationData) -> float:
        if labelled and index is not None:
            return answers_right(module, data, index)
        return agreement(module, master, data, answers)

    return judge


def _classes(data: CalibrationData) -> int:
    """How many classes the labels name; 0 where they are no classes."""
    labels = data.labels
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        return 0
    return int(labels.max()) + 1 if int(labels.min()) >= 0 else 0


def _output_shapes(teacher: ir.Model, data: CalibrationData) -> dict[str, tuple[int, ...]]:
    graph = TrainableGraph(teacher).eval()
    with torch.no_grad():
        found = graph.run(read_samples(data, range(min(2, len(data)))), graph.output_names)
    return {name: tuple(value.shape) for name, value in found.items()}


def _matched(student: ir.Model, teacher: ir.Model, data: CalibrationData, count: int) -> tuple[str, ...]:
    """Values of the same name in both graphs that differ in width at most."""
    if not count:
        return ()
    names = shared_names(student, teacher)
    sample = read_samples(data, range(min(2, len(data))))
    with torch.no_grad():
        own, other = (TrainableGraph(model).eval().run(sample, names) for model in (student, teacher))
    usable = {name for name in names if _can_match(own[name], other[name])}
    return spaced_values(teacher, usable, count)


def _can_match(own: torch.Tensor, other: torch.Tensor) -> bool:
    if not (own.is_floating_point() and other.is_floating_point()) or own.ndim != other.ndim or own.ndim < 2:
        return False
    unequal = [axis for axis in range(own.ndim) if own.shape[axis] != other.shape[axis]]
    width = own.ndim - 1 if own.ndim == 3 else 1
    return set(unequal) <= {width}


def _matches(
    pupil: Pupil, master: Pupil, data: CalibrationData, matched: tuple[str, ...], seed: int
) -> list[Match]:
    """How each intermediate value is compared; a projection that is trained along meets a cut width."""
    if not matched:
        return []
    sample = read_samples(data, range(min(2, len(data))))
    with torch.no_grad():
        own, other = (module(*sample)[-len(matched) :] for module in (pupil, master))
    found = []
    for name, first, second in zip(matched, own, other, strict=True):
        shapes = (tuple(first.shape), tuple(second.shape))
        found.append(_match(LayerPair(name, name), shapes, seed))
    return found


def _match(pair: LayerPair, shapes: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> Match:
    made = make_module(lambda: Match(pair, shapes, loss="mse", adapter="regressor"), seed)
    assert isinstance(made, Match)
    return made


def _sentence(answers: tuple[Answer, ...], matched: tuple[str, ...], *, labelled: bool) -> str:
    parts = [
        f"{a.output} by {a.loss}" + (f" at {a.teacher}" if a.teacher != a.output else "") for a in answers
    ]
    text = "learns from the teacher: " + ", ".join(parts)
    text += f"; {len(matched)} values matched" if matched else ""
    return text + ("; and from labels" if labelled else "; no labels")


def _say_nothing(text: str) -> None:
    pass
