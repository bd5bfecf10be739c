"""Second-order elimination with compensation.

Cutting the input indices ``S`` of a linear consumer, and letting the others take over as well as they can, loses

    tr(W_Sᵀ [(M⁻¹)_SS]⁻¹ W_S)

of its output energy, where ``M`` holds the second moments of its inputs (Hassibi & Stork, Optimal Brain Surgeon,
1993, in the form for whole inputs). Neurons are eliminated one after the other; after each, ``M⁻¹`` and ``W Wᵀ``
are brought up to date in closed form, so that the order is that of a true greedy search. A neuron that repeats
others, or that never fires, costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas

from .shrinkage import ridged

Matrix = npt.NDArray[np.float64]

_STRETCH = 64
"""A group of more neurons loses several at a time: one for each so many that it has."""

_POOL = 4
"""Candidates for each neuron that is to go."""

_COMPACT = 0.8
"""Neurons that are gone are forgotten when fewer than this share of those held are left."""


@dataclass(frozen=True)
class Reader:
    """A consumer as the elimination sees it.

    Attributes:
        places: Input indices of each neuron, shape ``(neurons, indices of one)``.
        moments: Second moments of the inputs, about zero or about the mean where a bias can take it up.
        weights: Shape ``(inputs, outputs)``.
        energy: Second moments about zero: what the output energy is measured with.
        ridge: How far the regression on the others is shrunk, as a share of the moments' mean diagonal.
    """

    places: npt.NDArray[np.int64]
    moments: Matrix
    weights: Matrix
    energy: Matrix
    ridge: float = 1e-4


def elimination(
    readers: Iterable[Reader], size: int, *, compensate: bool = True, depth: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Order a group's neurons by what each costs once the cheaper ones are gone.

    Args:
        readers: Every consumer of the group; none is held when the next is asked for.
        size: Number of neurons.
        compensate: Whether the others take over; without it a neuron costs what it contributes.
        depth: How many cuts to follow; all of them where None. Cuts beyond cost infinity.

    Returns:
        The order, shape ``(neurons,)``, and the cost of the first k cuts, shape ``(neurons + 1,)``, as shares of
        the consumers' output energies, summed over consumers.
    """
    states = [_State.of(reader, compensate) for reader in readers]
    names = np.arange(size)
    alive = np.ones(size, dtype=bool)
    order: list[int] = []
    cost = np.full(size + 1, np.inf)
    cost[0] = 0.0
    limit = size if depth is None else min(depth, size)
    while len(order) < limit:
        chosen, losses = _stretch(states, alive, min(max(1, size // _STRETCH), limit - len(order)))
        cost[len(order) + 1 : len(order) + 1 + len(chosen)] = cost[len(order)] + np.cumsum(losses)
        order.extend(int(name) for name in names[chosen])
        alive[chosen] = False
        for state in states:
            state.remove(chosen)
        if alive.mean() < _COMPACT and alive.any():
            for state in states:
                state.keep(alive)
            names, alive = names[alive], np.ones(int(alive.sum()), dtype=bool)
    rest = np.setdiff1d(np.arange(size), order)
    return np.concatenate([np.asarray(order, dtype=np.int64), rest]), cost


def _stretch(
    states: list[_State], alive: npt.NDArray[np.bool_], count: int
) -> tuple[npt.NDArray[np.int64], list[float]]:
    """The next neurons to go, and what each costs once those before it are gone.

    Few of the cheapest come into question. Among these every choice is followed exactly; the others hear of all of
    them at once, in one product instead of many.
    """
    costs = _costs(states, alive)
    if count == 1:
        first = int(np.argmin(costs))
        return np.asarray([first]), [max(float(costs[first]), 0.0)]
    pool = np.argsort(costs, kind="stable")[: min(_POOL * count, int(alive.sum()))]
    parts = [state.part(pool) for state in states]
    left = np.ones(len(pool), dtype=bool)
    chosen, losses = [], []
    for _ in range(count):
        costs = _costs(parts, left)
        place = int(np.argmin(costs))
        chosen.append(place)
        losses.append(max(float(costs[place]), 0.0))
        left[place] = False
        for part in parts:
            part.remove(np.asarray([place]))
    return pool[chosen], losses


def _costs(states: list[_State], alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    total = np.zeros(len(alive))
    for state in states:
        total += state.costs()
    return np.where(alive, total, np.inf)


class _State:
    """Inverse moments and weight products of one consumer, brought up to date as neurons go.

    Only the indices of the group's neurons are held: the updates need no others.
    """

    def __init__(
        self, places: npt.NDArray[np.int64], matrix: Matrix, product: Matrix, scale: float, compensate: bool
    ) -> None:
        index = places.ravel()
        # What the costs are read from: the inverse where the others take over, the moments where not.
        self.matrix: Matrix = matrix[np.ix_(index, index)]
        self.product: Matrix = product[np.ix_(index, index)]
        self.places: npt.NDArray[np.int64] = np.arange(places.size).reshape(places.shape)
        self.scale = scale
        self.compensate = compensate

    @classmethod
    def of(cls, reader: Reader, compensate: bool) -> _State:
        """The state before anything goes."""
        product = reader.weights @ reader.weights.T
        scale = max(float(np.sum(reader.energy * product)), 1e-30)
        matrix = np.linalg.inv(ridged(reader.moments, reader.ridge)) if compensate else reader.moments
        return cls(reader.places, np.asarray(matrix, np.float64), product, scale, compensate)

    def part(self, neurons: npt.NDArray[np.int64]) -> _State:
        """The state of some neurons by themselves."""
        return _State(self.places[neurons], self.matrix, self.product, self.scale, self.compensate)

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Forget the neurons that are gone, so that later updates are smaller."""
        smaller = self.part(np.flatnonzero(alive))
        self.matrix, self.product, self.places = smaller.matrix, smaller.product, smaller.places

    def costs(self) -> npt.NDArray[np.float64]:
        """What each neuron costs now, shape ``(neurons held,)``; without meaning for those that are gone."""
        rows, columns = self.places[:, :, None], self.places[:, None, :]
        if not self.compensate:
            energy: Matrix = (self.product[rows, columns] * self.matrix[rows, columns]).sum((1, 2))
            return energy / self.scale
        if self.places.shape[1] == 1:
            lost: Matrix = np.diag(self.product) / np.maximum(np.diag(self.matrix), 1e-30)
            return lost / self.scale
        eye = np.eye(self.places.shape[1]) * 1e-12
        solved = np.linalg.solve(self.matrix[rows, columns] + eye, self.product[rows, columns])
        block: Matrix = np.trace(solved, axis1=1, axis2=2)
        return block / self.scale

    def remove(self, neurons: npt.NDArray[np.int64]) -> None:
        """Let the others take over what the neurons did."""
        if not self.compensate:
            return
        places = self.places[neurons].ravel()
        inverse, product = self.matrix[:, places], self.product[:, places]
        solved = np.linalg.solve(inverse[places] + np.eye(len(places)) * 1e-12, inverse.T)
        share = np.asarray(solved.T, np.float64)
        # (I - s e') K (I - e s'), written as one symmetric update: -(s h' + h s') with h = K e - s K_SS / 2.
        half = product - share @ product[places] / 2
        _subtract(self.product, np.hstack([share, half]), np.hstack([half, share]))
        _subtract(self.matrix, share, inverse)


def _subtract(target: Matrix, left: Matrix, right: Matrix) -> None:
    """``target -= left @ right.T``, where that is symmetric, without a copy of the target."""
    # Fortran's order of a symmetric matrix is its own: the transposed view is what BLAS may write into.
    done = blas.dgemm(-1.0, left, right, beta=1.0, c=target.T, trans_b=True, overwrite_c=True)
    if not np.shares_memory(done, target):
        target[...] = done.T
