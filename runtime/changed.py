"""Samples that two models answer differently: which, how, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError
from ..core.tensors import Array
from .classification import class_scores, pick_scores
from .intervals import Matrix
from .outputs import Opener, outputs_of

MOST_PIXELS = 128
"""Pictures are thinned out to at most this many pixels a side."""


@dataclass(frozen=True)
class Answers:
    """A model's answers.

    Attributes:
        answers: The class of each sample, shape ``(n,)``; -1 where a score is NaN.
        margins: How far the highest score is above the second, in the output's own unit, shape ``(n,)``.
        classes: Classes of the model.
        output: The output that they were read from.
    """

    answers: npt.NDArray[np.int64]
    margins: Matrix
    classes: int
    output: str


@dataclass(frozen=True)
class ChangedAnswer:
    """A sample that two models answer differently.

    Attributes:
        index: Its place among the samples, from 0.
        label: What is right; None where it is not known.
        before: The first model's answer; -1 where it has none.
        after: The second's.
        before_margin: How far the first model's highest score is above its second.
        after_margin: The same of the second model.
    """

    index: int
    label: int | None
    before: int
    after: int
    before_margin: float
    after_margin: float


@dataclass(frozen=True)
class ChangedAnswers:
    """What one model answers differently from the first.

    Attributes:
        model: Its name.
        output: The output that the answers were read from.
        samples: Samples that both answered.
        changed: How many answers differ.
        lost: How many of them only the first model has right; None without labels.
        gained: How many only this model has right.
        answers: The answers that differ, those first of which the first model was surest; not all where there are more
            than were asked for.
    """

    model: str
    output: str
    samples: int
    changed: int
    lost: int | None
    gained: int | None
    answers: tuple[ChangedAnswer, ...]


def answers_of(
    model: ModelArtifact,
    data: CalibrationData,
    opener: Opener | None = None,
    *,
    output: str | None = None,
    batch_size: int = 64,
) -> Answers:
    """Run a model and read its answers.

    Args:
        model: A model whose output holds one score for each class.
        data: The samples.
        opener: How to run it; on the CPU where None.
        output: The output to read; the first of rank 2 where None.
        batch_size: Samples in a run.

    Raises:
        ModelError: No output holds one score for each class.
    """
    answers, margins, classes, name = [], [], 0, output
    for _, outputs in outputs_of((opener or Opener()).open(model), data.for_model(model.inputs), batch_size):
        name = pick_scores(outputs, name)
        scores = class_scores(outputs[name]).astype(np.float64)
        if scores.ndim != 2 or scores.shape[1] < 2:
            raise DataError(
                f"output {name!r} of shape {outputs[name].shape} is no score for each class",
                remedy="name an output of shape (samples, classes)",
            )
        classes = scores.shape[1]
        broken = np.asarray(np.isnan(scores).any(1))
        second, first = np.partition(np.where(broken[:, None], 0.0, scores), classes - 2, axis=1)[:, -2:].T
        answers.append(np.where(broken, -1, scores.argmax(1)))
        margins.append(first - second)
    return Answers(np.concatenate(answers), np.concatenate(margins), classes, name or "")


def changed_answers(
    before: Answers, after: Answers, *, name: str, labels: Array | None = None, limit: int = 20
) -> ChangedAnswers:
    """Find the samples that two models answer differently.

    Args:
        before: The first model's answers.
        after: The second's, of the same samples; where one model dropped trailing samples, the shorter counts.
        name: The second model's name.
        labels: What is right, where each sample has one whole number.
        limit: How many to list, those first of which the first model was surest.

    Raises:
        DataError: The models have different classes.
    """
    if before.classes != after.classes:
        raise DataError(
            f"the models have {before.classes} and {after.classes} classes",
            remedy="compare models of the same task",
        )
    count = min(len(before.answers), len(after.answers))
    old, new = before.answers[:count], after.answers[:count]
    known = None if labels is None else np.asarray(labels).reshape(len(labels), -1)
    right = None if known is None or known.shape[1] != 1 or known.dtype.kind not in "iu" else known[:count, 0]
    places = np.flatnonzero(old != new)
    order = places[np.argsort(-before.margins[places], kind="stable")]
    return ChangedAnswers(
        model=name,
        output=after.output,
        samples=count,
        changed=len(places),
        lost=None if right is None else int(((old == right) & (new != right)).sum()),
        gained=None if right is None else int(((new == right) & (old != right)).sum()),
        answers=tuple(
            ChangedAnswer(
                int(place),
                None if right is None else int(right[place]),
                int(old[place]),
                int(new[place]),
                float(before.margins[place]),
                float(after.margins[place]),
            )
            for place in order[:limit]
        ),
    )


def picture_of(data: CalibrationData, index: int) -> npt.NDArray[np.uint8] | None:
    """A small picture of a sample, its values stretched from the smallest to the largest.

    Args:
        data: The samples, one array of which is like an image: of shape ``(n, channels, height, width)`` with 1 or 3
            channels.
        index: The place of the sample among them.

    Returns:
        Shape ``(height, width)`` or ``(height, width, 3)``, each side at most :data:`MOST_PIXELS`; None where no
        array, or more than one, is like an image.
    """
    feed = data.source.read([data.indices[index]])
    images = [a for n, a in feed.items() if n != "labels" and a.ndim == 4 and a.shape[1] in (1, 3) and a.size]
    if len(images) != 1:
        return None
    image = images[0][0].astype(np.float64)
    step = -(-max(image.shape[1:]) // MOST_PIXELS)
    image = np.moveaxis(image, 0, -1)[::step, ::step]
    low, high = image.min(), image.max()
    scaled: npt.NDArray[np.uint8] = (255.0 * (image - low) / (high - low or 1.0)).round().astype(np.uint8)
    return scaled.reshape(scaled.shape[:2]) if scaled.shape[2] == 1 else scaled
