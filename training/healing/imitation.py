"""Healing: a cut or otherwise changed graph learns to answer as the graph that it was made from.

The weights of the graph itself are trained in torch, by distillation (Hinton et al. 2015, arXiv:1503.02531), and go back
into the same graph: no source, no export. Labels help where the samples have them, and are not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from ...calib_data.data import CalibrationData
from ...core.detach import model_digest
from ...core.tensors import Feed, input_specs
from ..batches import Inputs, labels_of, read_samples
from ..graph import TrainableGraph
from ..layers import LayerPair
from ..lesson import Lesson
from ..loop import Progress
from ..matching import Match
from ..modules import make_module
from ..report import extended
from ..tasks import split, train_by
from .answers import Shape, find_answers, shared_names, spaced_values
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
    graph: TrainableGraph | None = None,
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
        graph: The student as a module, where more than its weights is trained; trained in place.
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
    options, say = options or HealOptions(), note or _say_nothing
    data = data.for_model(input_specs(student))
    for text in data.notes:
        say(text)
    judged = split(data, options)[1] if evaluation is None else evaluation.for_model(input_specs(student))
    own, other = graph or TrainableGraph(student), TrainableGraph(teacher).eval().requires_grad_(False)
    sample, classes = read_samples(data, range(data.batch_size_for(min(2, len(data))))), _classes(data)
    shapes = {name: tuple(v.shape) for name, v in _values(other, sample, other.output_names).items()}
    answers = find_answers(student, teacher, shapes, classes=classes, loss=options.loss)
    names = shared_names(student, teacher) if options.features else ()
    usable = _usable(_values(own, sample, names), _values(other, sample, names))
    matched = spaced_values(teacher, usable, options.features)
    matches = [_match(name, usable[name], options.seed) for name in matched]
    pupil = Pupil(own, [a.student for a in answers] + list(matched))
    master = Pupil(other, [a.teacher for a in answers] + list(matched))
    labelled = bool(classes) and first_logits(answers) is not None and options.label_weight > 0
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
    more = {"before_score": lesson.judge(pupil, judged), "teacher_score": lesson.judge(master, judged)}
    report = train_by(
        lesson, pupil, data, judged, options, checkpoint=checkpoint, resume=resume, progress=progress
    )
    long = extended(report, HealReport, answers=answers, matched=matched, estimate=expected, **more)
    return Healed(own.write_back(), long)


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


def _values(graph: TrainableGraph, sample: Inputs, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """What a graph computes for some of its values."""
    with torch.no_grad():
        return graph.run(sample, names)


def _usable(
    own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]
) -> dict[str, tuple[Shape, Shape]]:
    """The shapes of values in both graphs that differ in width at most."""
    return {
        name: (tuple(own[name].shape), tuple(other[name].shape))
        for name in own
        if _can_match(own[name], other[name])
    }


def _can_match(own: torch.Tensor, other: torch.Tensor) -> bool:
    if not (own.is_floating_point() and other.is_floating_point()) or own.ndim != other.ndim or own.ndim < 2:
        return False
    unequal = [axis for axis in range(own.ndim) if own.shape[axis] != other.shape[axis]]
    width = own.ndim - 1 if own.ndim == 3 else 1
    return set(unequal) <= {width}


def _match(name: str, shapes: tuple[Shape, Shape], seed: int) -> Match:
    """How an intermediate value is compared; a projection that is trained along meets a cut width."""
    pair = LayerPair(name, name)
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
