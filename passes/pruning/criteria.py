"""Which neurons of a group go first, and what each further cut costs.

Every criterion gives a :class:`Curve` for a group: an order, and the cost of cutting the first k neurons in that
order, for k up to the depth it is asked for. Costs are shares (of a consumer's output energy, of a group's total score), so that groups can compete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...core.errors import UsageError
from ..coupling import Coupling, Group
from .consumers import Consumer, positions_of
from .repair import has_intercept
from .second_order import Reader, elimination
from .statistics import InputStatistics, Moments

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What cutting a group costs.

    Attributes:
        order: Positions of the group's neurons, the first to go first; shape ``(neurons,)``.
        cost: Cost of cutting the first k of them, rising from 0, for as many k as were asked for.
    """

    order: npt.NDArray[np.int64]
    cost: Vector

    def scaled(self, factor: float) -> Curve:
        """The same order at other costs."""
        return self if factor == 1.0 else Curve(self.order, self.cost * factor)


NEEDS_MOMENTS = frozenset({"activation", "apoz"})
"""Criteria that look at statistics which the repair does not need."""


@dataclass(frozen=True)
class Evidence:
    """What a criterion may look at.

    Attributes:
        coupling: The analysis of the graph.
        statistics: For each consumer, what it reads; empty without samples.
        compensate: Whether consumers will be repaired.
        random: The seeded source of chance.
    """

    coupling: Coupling
    statistics: Mapping[Consumer, InputStatistics]
    compensate: bool
    random: np.random.Generator

    def readers(self, group: Group) -> list[tuple[Consumer, npt.NDArray[np.int64]]]:
        """The consumers that read all of a group's neurons, and where each reads them."""
        found = []
        # Who reads all of them reads the first.
        for consumer in self._by_class.get(int(group.classes[0]), ()):
            places = positions_of(group, consumer.labels(self.coupling))
            if places is not None:
                found.append((consumer, places))
        return found

    @cached_property
    def _by_class(self) -> dict[int, list[Consumer]]:
        readers: dict[int, list[Consumer]] = {}
        for consumer in self.statistics:
            for label in np.unique(consumer.labels(self.coupling)).tolist():
                readers.setdefault(label, []).append(consumer)
        return readers


Criterion: TypeAlias = Callable[[Group, Evidence, int], Curve]
"""From a group, what is known, and how deep to go, to an order with its cost."""


@dataclass(frozen=True)
class NeuronView:
    """What a user's own criterion sees of a group.

    Attributes:
        name: The group's name.
        weights: For each matrix or kernel that they are cut from, the weights of each neuron, shape
            ``(neurons, weights of one)``.
        means: For each layer that reads them, the mean of each neuron, shape ``(neurons,)``.
        variances: Likewise, the variance.
        mean_absolutes: Likewise, the mean absolute value.
    """

    name: str
    weights: tuple[Vector, ...]
    means: tuple[Vector, ...]
    variances: tuple[Vector, ...]
    mean_absolutes: tuple[Vector, ...]


def scored_by(function: Callable[[NeuronView], npt.ArrayLike]) -> Criterion:
    """A criterion from a user's function: one score for each neuron, the smallest go first.

    Args:
        function: Takes a :class:`NeuronView` and returns finite scores, none below zero, shape ``(neurons,)``.
    """

    def criterion(group: Group, evidence: Evidence, depth: int) -> Curve:
        scores = np.asarray(function(_view(group, evidence)), dtype=np.float64)
        if scores.shape != (group.size,) or not np.isfinite(scores).all() or (scores < 0).any():
            raise UsageError(
                f"the criterion gave {scores.shape} for {group.size} neurons of {group.name}, or scores below zero",
                remedy="return one finite score of at least 0 for each neuron",
            )
        return _from_scores(scores)

    return criterion


def l1(group: Group, evidence: Evidence, depth: int) -> Curve:
    """L1 norm of all weights that go with a neuron (Li et al., Pruning Filters for Efficient ConvNets, 2017)."""
    return _from_scores(np.sum([np.abs(rows).sum(1) for rows in _weights(group, evidence)], axis=0))


def magnitude(group: Group, evidence: Evidence, depth: int) -> Curve:
    """L2 norm of all weights that go with a neuron (He et al., Soft Filter Pruning, 2018)."""
    return _from_scores(np.sqrt(np.sum([(rows**2).sum(1) for rows in _weights(group, evidence)], axis=0)))


def _weights(group: Group, evidence: Evidence) -> list[Vector]:
    """The weights of each neuron in every matrix or kernel, shape ``(neurons, weights of one)``."""
    found = [np.zeros((group.size, 1))]
    for member in group.members:
        labels = evidence.coupling.classes_of(member.value, member.axis)
        places = None if labels is None else positions_of(group, labels)
        tensor = member.value.const_value
        if places is None or tensor is None or len(tensor.shape) < 2:
            continue
        array = np.moveaxis(np.asarray(tensor.numpy(), np.float64), member.axis, 0)
        rows = array.reshape(len(array), -1)
        found.append(rows[places].reshape(group.size, -1))
    return found


def activation(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Mean absolute value of a neuron over the samples (Molchanov et al., 2017, §2.2): what never fires goes first."""
    return _from_activations(group, evidence, lambda seen: _moments(seen).mean_absolute)


def apoz(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Share of the samples and positions where a neuron is above zero (Hu et al., Network Trimming, 2016)."""
    return _from_activations(group, evidence, lambda seen: 1.0 - _moments(seen).zero_share)


def variance(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Variance of a neuron over the samples: what is always the same is a bias (Polyak & Wolf, 2015)."""
    return _from_activations(group, evidence, lambda seen: np.maximum(np.diag(seen.covariance), 0.0))


def wanda(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Weight times activation: ``Σ |W_ij| ‖x_j‖₂`` over a layer's outputs (Sun et al., Wanda, 2023, for whole inputs)."""
    total = np.zeros(group.size)
    for consumer, places, seen in _readers(group, evidence):
        scores = np.abs(consumer.matrix()).sum(1) * np.sqrt(np.maximum(np.diag(seen.second), 0.0))
        total += scores[places].sum(1) / max(float(scores.sum()), 1e-30)
    return _from_scores(total)


def similarity(group: Group, evidence: Evidence, depth: int) -> Curve:
    """What a neuron holds that its most correlated neighbour does not (Srinivas & Babu, 2015, data-free merging).

    The residual of the best prediction by one other neuron that stays, times the weight it meets.
    """
    readers = [
        (places[:, 0], seen.covariance, (consumer.matrix() ** 2).sum(1))
        for consumer, places, seen in _readers(group, evidence)
    ]
    alive = np.ones(group.size, dtype=bool)
    order, cost = [], [0.0]
    residuals = [_unexplained(c[np.ix_(p, p)]) * w[p][:, None] for p, c, w in readers]
    table = np.sum([r / max(np.diag(r).sum(), 1e-30) for r in residuals], axis=0)
    for _ in range(depth):
        masked = np.where(alive[None, :], table, np.inf)
        np.fill_diagonal(masked, np.inf)
        lone = (
            np.where(alive, masked.min(1), np.inf)
            if alive.sum() > 1
            else np.where(alive, np.diag(table), np.inf)
        )
        chosen = int(np.argmin(lone))
        order.append(chosen)
        cost.append(cost[-1] + float(lone[chosen]))
        alive[chosen] = False
    rest = np.flatnonzero(alive)
    return Curve(np.concatenate([np.asarray(order, dtype=np.int64), rest]), np.asarray(cost))


def second_order(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Energy lost at the consumers' outputs after the others have taken over; see :mod:`.second_order`."""
    # One after the other: the weights of all readers of a group, in double precision, may be more than the model.
    readers = (
        Reader(
            places,
            seen.covariance if has_intercept(consumer) else seen.second,
            consumer.matrix(),
            seen.second,
            seen.ridge,
        )
        for consumer, places, seen in _readers(group, evidence)
    )
    order, cost = elimination(readers, group.size, compensate=evidence.compensate, depth=depth)
    return Curve(order, cost)


def chance(group: Group, evidence: Evidence, depth: int) -> Curve:
    """A seeded random order: the control that every criterion has to beat."""
    return _from_scores(evidence.random.random(group.size))


CRITERION_TABLE: dict[str, Criterion] = {
    "second-order": second_order,
    "output": second_order,  # within a group; between groups the outputs decide, see :mod:`.sensitivity`
    "magnitude": magnitude,
    "l1": l1,
    "activation": activation,
    "apoz": apoz,
    "variance": variance,
    "wanda": wanda,
    "similarity": similarity,
    "random": chance,
}
"""Criteria by name."""


def _view(group: Group, evidence: Evidence) -> NeuronView:
    readers = [(places, seen) for _, places, seen in _readers(group, evidence)]
    return NeuronView(
        group.name,
        tuple(_weights(group, evidence)[1:]),
        tuple(seen.mean[places].mean(1) for places, seen in readers),
        tuple(np.diag(seen.covariance)[places].mean(1) for places, seen in readers),
        tuple(_moments(seen).mean_absolute[places].mean(1) for places, seen in readers),
    )


def _moments(seen: InputStatistics) -> Moments:
    if seen.moments is None:
        raise ValueError("moments were not collected")
    return seen.moments


def _from_activations(
    group: Group, evidence: Evidence, statistic: Callable[[InputStatistics], Vector]
) -> Curve:
    """A statistic of each neuron, as a share of its layer's, summed over the layers that read it."""
    total = np.zeros(group.size)
    for _, places, seen in _readers(group, evidence):
        values = statistic(seen)
        total += values[places].sum(1) / max(float(values.sum()), 1e-30)
    return _from_scores(total)


def _from_scores(scores: Vector) -> Curve:
    order = np.argsort(scores, kind="stable")
    shares = scores[order] / max(float(scores.sum()), 1e-30)
    return Curve(order, np.concatenate([[0.0], np.cumsum(shares)]))


def _readers(
    group: Group, evidence: Evidence
) -> list[tuple[Consumer, npt.NDArray[np.int64], InputStatistics]]:
    return [(consumer, places, evidence.statistics[consumer]) for consumer, places in evidence.readers(group)]


def _unexplained(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Variance of i left when j predicts it, shape ``(neurons, neurons)``; its own variance on the diagonal."""
    variance = np.maximum(np.diag(covariance), 1e-12)
    left = variance[:, None] - covariance**2 / variance[None, :]
    np.fill_diagonal(left, variance)
    return np.maximum(left, 0.0)
