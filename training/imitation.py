"""The objective of a student: what it is told by the labels, by the teacher's outputs, and by its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.nn import functional

from .answers import Teaching
from .batches import Batch, Outputs
from .losses import Terms, angle_loss, cosine_loss, distance_loss, only, response_loss
from .matching import Match
from .options import DistillOptions

Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Imitation:
    """Imitate a teacher, and keep to the labels.

    Terms whose weight is zero are neither computed nor reported.

    Args:
        options: The weights, and how things are compared.
        teaching: Where the teacher's answers come from.
        matches: Pairs of layers, with how each is compared.
    """

    def __init__(self, options: DistillOptions, teaching: Teaching, matches: Sequence[Match] = ()) -> None:
        self.options = options
        self.teaching = teaching
        self.matches = tuple(matches)

    def __call__(self, outputs: Outputs, batch: Batch) -> Terms:
        """The terms for a batch."""
        options, found = self.options, only(outputs)
        wanted, values = self.teaching.answer(batch)
        terms: Terms = {}
        if options.needs_labels:
            weight = 1 - options.teacher_weight
            terms["labels"] = weight * self._on_labels(found, batch)
        weight = 1.0 if options.task == "embedding" else options.teacher_weight
        if weight:
            terms["teacher"] = weight * self._compare()(found, wanted)
        if options.feature_weight:
            losses = [m(_of_student(m, batch), values[m.pair.teacher]) for m in self.matches]
            terms["features"] = options.feature_weight * torch.stack(losses).mean()
        if self.matches:
            last = self.matches[-1]
            found, wanted = _of_student(last, batch), values[last.pair.teacher]
        return terms | self._relations(found, wanted)

    def _relations(self, found: torch.Tensor, wanted: torch.Tensor) -> Terms:
        """Compare samples with each other."""
        weights = {"distances": self.options.distance_weight, "angles": self.options.angle_weight}
        return {name: weight * _RELATIONS[name](found, wanted) for name, weight in weights.items() if weight}

    def _on_labels(self, found: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert batch.labels is not None
        if self.options.task == "classification":
            return functional.cross_entropy(found, batch.labels, label_smoothing=self.options.label_smoothing)
        return functional.mse_loss(found, batch.labels.reshape(found.shape))

    def _compare(self) -> Compare:
        kinds: dict[str, Compare] = {
            "kl": partial(response_loss, temperature=self.options.temperature),
            "mse": functional.mse_loss,
            "cosine": cosine_loss,
        }
        return kinds[self.options.compared_by]


def _of_student(match: Match, batch: Batch) -> torch.Tensor:
    return batch.layers[match.pair.student].float()


_RELATIONS: dict[str, Compare] = {"distances": distance_loss, "angles": angle_loss}
