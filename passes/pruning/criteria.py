"""Which neurons of a group go first, and what each further cut costs.

Every criterion gives a :class:`Curve` for a group: an order, and the cost of cutting the first k neurons in that
order, for k up to the depth it is asked for. Costs are shares (of a consumer's output energy, of a group's total score), so that groups can compete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..coupling import Coupling, Group
from .consumers import Consumer, positions_of
from .repair import has_intercept
from .second_order import Reader, elimination
from .statistics import InputStatistics

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


def magnitude(group: Group, evidence: Evidence, depth: int) -> Curve:
    """L2 norm of all weights that go with a neuron (Li et al., Pruning Filters for Efficient ConvNets, 2017)."""
    total = np.zeros(group.size)
    for member in group.members:
        labels = evidence.coupling.classes_of(member.value, member.axis)
        places = None if labels is None else positions_of(group, labels)
        tensor = member.value.const_value
        if places is None or tensor is None or len(tensor.shape) < 2:
            continue
        array = np.moveaxis(np.asarray(tensor.numpy(), np.float64), member.axis, 0)
        rows = array.reshape(len(array), -1)
        total += (rows**2).sum(1)[places].sum(1)
    return _from_scores(np.sqrt(total))


def activation(group: Group, evidence: Evidence, depth: int) -> Curve:
    """Mean absolute value of a neuron over the samples (Molchanov et al., 2017, §2.2): what never fires goes first."""
    total = np.zeros(group.size)
    for _, places, seen in _readers(group, evidence):
        if seen.mean_absolute is None:
            raise ValueError("mean absolute values were not collected")
        total += seen.mean_absolute[places].sum(1) / max(float(seen.mean_absolute.sum()), 1e-30)
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
    readers = [
        Reader(
            places,
            seen.covariance if has_intercept(consumer) else seen.second,
            consumer.matrix(),
            seen.second,
        )
        for consumer, places, seen in _readers(group, evidence)
    ]
    order, cost = elimination(readers, group.size, compensate=evidence.compensate, depth=depth)
    return Curve(order, cost)


def chance(group: Group, evidence: Evidence, depth: int) -> Curve:
    """A seeded random order: the control that every criterion has to beat."""
    return _from_scores(evidence.random.random(group.size))


CRITERION_TABLE: dict[str, Callable[[Group, Evidence, int], Curve]] = {
    "second-order": second_order,
    "magnitude": magnitude,
    "activation": activation,
    "similarity": similarity,
    "random": chance,
}
"""Criteria by name."""


def _from_scores(scores: Vector) -> Curve:
    order = np.argsort(scores, kind="stable")
    shares = scores[order] / max(float(scores.sum()), 1e-30)
    return Curve(order, np.concatenate([[0.0], np.cumsum(shares)]))


def _readers(
    group: Group, evidence: Evidence
) -> list[tuple[Consumer, npt.NDArray[np.int64], InputStatistics]]:
    found = []
    for consumer, seen in evidence.statistics.items():
        places = positions_of(group, consumer.labels(evidence.coupling))
        if places is not None:
            found.append((consumer, places, seen))
    return found


def _unexplained(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Variance of i left when j predicts it, shape ``(neurons, neurons)``; its own variance on the diagonal."""
    variance = np.maximum(np.diag(covariance), 1e-12)
    left = variance[:, None] - covariance**2 / variance[None, :]
    np.fill_diagonal(left, variance)
    return np.maximum(left, 0.0)
