"""A graph that gives what is compared, and the lesson that it learns from its teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ...calib_data.data import CalibrationData
from ...core.errors import DataError
from ..batches import Batch, Inputs, Outputs, batches_in_order, labels_of
from ..graph import TrainableGraph
from ..losses import Objective, Terms, cosine_loss, response_loss
from ..matching import Match
from ..modules import device_of, evaluating
from .options import HealOptions
from .report import Answer

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_QUIET = 1e-12


class Pupil(nn.Module):
    """A graph that gives some of its values, as a tuple.

    Args:
        graph: The graph.
        taps: The values, by name.
    """

    def __init__(self, graph: TrainableGraph, taps: Sequence[str]) -> None:
        super().__init__()
        self.graph = graph
        self.taps = tuple(taps)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The values, in the order of ``taps``."""
        found = self.graph.run(inputs, dict.fromkeys(self.taps))
        return tuple(found[name] for name in self.taps)


def imitate(
    teacher: Pupil,
    answers: Sequence[Answer],
    matches: Sequence[Match],
    options: HealOptions,
    *,
    labelled: bool,
) -> Objective:
    """What is minimised: the distance to the teacher's answers and values, and to the labels.

    Args:
        teacher: Gives the answers, and then what is matched, as the pupil does; in evaluation mode.
        answers: What is compared, and how.
        matches: How each value that is matched is compared.
        options: The weights of all this.
        labelled: Whether the first logits are also taught by labels.
    """
    told = options.label_weight if labelled else 0.0

    def terms(outputs: Outputs, batch: Batch) -> Terms:
        given = cast("tuple[torch.Tensor, ...]", outputs)
        with torch.no_grad():
            wanted = tuple(value.float() for value in teacher(*batch.inputs))
        pairs = list(zip(given, wanted, strict=True))
        losses = [
            distance(answer, options.temperature)(*pair) for answer, pair in zip(answers, pairs, strict=False)
        ]
        found = {"teacher": (1 - told) * torch.stack(losses).mean()}
        if labelled:
            index = first_logits(answers)
            assert index is not None
            assert batch.labels is not None
            logits = in_rows(answers[index], given[index])
            smoothing = options.label_smoothing
            found["labels"] = told * functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
        if matches:
            rest = pairs[len(answers) :]
            values = [
                match(own, other) / _power(other) for match, (own, other) in zip(matches, rest, strict=True)
            ]
            found["features"] = options.feature_weight * torch.stack(values).mean()
        return found

    return terms


def distance(answer: Answer, temperature: float) -> Distance:
    """The distance between two graphs' answers."""
    if answer.loss == "cosine":
        return cosine_loss
    if answer.loss == "mse":
        return lambda own, other: functional.mse_loss(own, other) / _spread(other)
    if answer.kind == "binary":
        return lambda own, other: _binary(own, other, temperature)
    return lambda own, other: response_loss(in_rows(answer, own), in_rows(answer, other), temperature)


def in_rows(answer: Answer, logits: torch.Tensor) -> torch.Tensor:
    """Logits with the classes on the second of two axes."""
    if answer.kind == "binary":
        return logits.reshape(-1, 1)
    return logits.movedim(answer.axis, -1).reshape(-1, logits.shape[answer.axis])


def first_logits(answers: Sequence[Answer]) -> int | None:
    """Which answer names classes: the first of logits, or None."""
    return next((index for index, answer in enumerate(answers) if answer.kind == "logits"), None)


def answers_right(module: nn.Module, data: CalibrationData, answer: int) -> float:
    """Share of samples whose largest logit is at the label.

    Args:
        module: A pupil.
        data: Samples with labels.
        answer: Which of its values are the logits, shape ``(batch, classes)``.
    """
    labels, device = labels_of(data, "evaluation"), device_of(module)
    found = []
    with evaluating(module), torch.no_grad():
        for inputs in batches_in_order(data, data.batch_size_for(256)):
            found.append(_finite(module(*_on(inputs, device))[answer]).argmax(1).cpu())
    return float((torch.cat(found) == labels).double().mean())


def agreement(module: nn.Module, teacher: Pupil, data: CalibrationData, answers: Sequence[Answer]) -> float:
    """How far a pupil agrees with its teacher: the mean over their answers.

    For scores, the share of rows in which both name the same class; for numbers, one minus the squared error in units of
    the teacher's variance, which is 1 where they are equal.

    Args:
        module: A pupil.
        teacher: Its teacher.
        data: The samples.
        answers: What is compared.
    """
    device = device_of(module)
    tallies = [_Errors() if answer.kind == "values" else _Hits(answer) for answer in answers]
    with evaluating(module), torch.no_grad():
        for inputs in batches_in_order(data, data.batch_size_for(256)):
            here = _on(inputs, device)
            for tally, own, other in zip(tallies, module(*here), teacher(*here), strict=False):
                tally.add(_finite(own), _finite(other))
    return sum(tally.share for tally in tallies) / len(tallies)


class _Hits:
    """Of an answer of scores, the share of rows that name the same class."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.same, self.rows = answer, 0, 0

    def add(self, own: torch.Tensor, other: torch.Tensor) -> None:
        rows = (in_rows(self.answer, own), in_rows(self.answer, other))
        is_binary = self.answer.kind == "binary"
        first, second = (r > 0 for r in rows) if is_binary else (r.argmax(1) for r in rows)
        self.same += int((first == second).sum())
        self.rows += len(rows[0])

    @property
    def share(self) -> float:
        return self.same / self.rows


class _Errors:
    """Of an answer of numbers, how much is explained of their variance over all batches; a batch of one has none."""

    def __init__(self) -> None:
        self.error, self.power, self.rows = 0.0, 0.0, 0
        self.total: torch.Tensor | float = 0.0

    def add(self, own: torch.Tensor, other: torch.Tensor) -> None:
        own, other = own.double(), other.double()
        self.error += float((own - other).square().sum())
        self.power += float(other.square().sum())
        self.total = self.total + other.sum(0)
        self.rows += len(other)

    @property
    def share(self) -> float:
        spread = self.power - float(torch.as_tensor(self.total).square().sum()) / self.rows
        return 1 - self.error / max(spread, _QUIET)


def _binary(own: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    wanted = torch.sigmoid(other / temperature)
    both = functional.binary_cross_entropy_with_logits(own / temperature, wanted)
    least = functional.binary_cross_entropy_with_logits(other / temperature, wanted)
    return temperature**2 * (both - least)


def _spread(values: torch.Tensor) -> torch.Tensor:
    """The variance over the samples; one sample has none, and its own power stands for it."""
    return _power(values - values.mean(0)) if len(values) > 1 else _power(values)


def _power(values: torch.Tensor) -> torch.Tensor:
    return values.square().mean().clamp(min=_QUIET)


def _finite(values: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(values).all():
        raise DataError(
            "a graph's outputs are not finite", remedy="check the samples, and the graph's weights"
        )
    return values.float()


def _on(inputs: Inputs, device: torch.device) -> Inputs:
    return tuple(t.to(device) for t in inputs)
