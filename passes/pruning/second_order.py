"""Second-order elimination with compensation.

Cutting the input indices ``S`` of a linear consumer, and letting the others take over as well as they can, loses

    tr(W_Sᵀ [(M⁻¹)_SS]⁻¹ W_S)

of its output energy, where ``M`` holds the second moments of its inputs (Hassibi & Stork, Optimal Brain Surgeon,
1993, in the form for whole inputs). Neurons are eliminated one after the other; after each, ``M⁻¹`` and ``W Wᵀ``
are brought up to date in closed form, so that the order is that of a true greedy search. A neuron that repeats
others, or that never fires, costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

RIDGE = 1e-4
"""Added to the diagonal of the moments, as a share of its mean: keeps the inverse sound."""

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
    """

    places: npt.NDArray[np.int64]
    moments: Matrix
    weights: Matrix
    energy: Matrix


def ridged(moments: Matrix) -> Matrix:
    """Moments with a small share of their mean diagonal added to the diagonal."""
    mean = float(np.trace(moments)) / max(len(moments), 1)
    return moments + np.eye(len(moments)) * (RIDGE * mean + 1e-12)


def elimination(
    readers: list[Reader], size: int, *, compensate: bool = True, depth: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Order a group's neurons by what each costs once the cheaper ones are gone.

    Args:
        readers: Every consumer of the group.
        size: Number of neurons.
        compensate: Whether the others take over; without it a neuron costs what it contributes.
        depth: How many cuts to follow; all of them where None. Cuts beyond cost infinity.

    Returns:
        The order, shape ``(neurons,)``, and the cost of the first k cuts, shape ``(neurons + 1,)``, as shares of
        the consumers' output energies, summed over consumers.
    """
    states = [_State(reader, compensate) for reader in readers]
    names = np.arange(size)
    alive = np.ones(size, dtype=bool)
    order: list[int] = []
    cost = np.full(size + 1, np.inf)
    cost[0] = 0.0
    for step in range(size if depth is None else min(depth, size)):
        costs = np.sum([state.costs() for state in states], axis=0) if states else np.zeros(len(names))
        chosen = int(np.argmin(np.where(alive, costs, np.inf)))
        order.append(int(names[chosen]))
        cost[step + 1] = cost[step] + max(float(costs[chosen]), 0.0)
        alive[chosen] = False
        for state in states:
            state.remove(chosen)
        if alive.mean() < _COMPACT and alive.any():
            for state in states:
                state.keep(alive)
            names, alive = names[alive], np.ones(int(alive.sum()), dtype=bool)
    rest = np.setdiff1d(np.arange(size), order)
    return np.concatenate([np.asarray(order, dtype=np.int64), rest]), cost


class _State:
    """Inverse moments and weight products of one consumer, brought up to date as neurons go.

    Only the indices of the group's neurons are held: the updates need no others.
    """

    def __init__(self, reader: Reader, compensate: bool) -> None:
        product = reader.weights @ reader.weights.T
        self.compensate = compensate
        self.scale = max(float(np.sum(reader.energy * product)), 1e-30)
        matrix = np.linalg.inv(ridged(reader.moments)) if compensate else reader.moments
        self.places = reader.places
        # What the costs are read from: the inverse where the others take over, the moments where not.
        self.matrix: Matrix = matrix.astype(np.float64)
        self.product: Matrix = product
        self.keep(np.ones(len(reader.places), dtype=bool))

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Forget the neurons that are gone, so that later updates are smaller."""
        places = self.places[alive]
        index = places.ravel()
        self.matrix = self.matrix[np.ix_(index, index)]
        self.product = self.product[np.ix_(index, index)]
        self.places = np.arange(places.size).reshape(places.shape)

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

    def remove(self, neuron: int) -> None:
        """Let the others take over what the neuron did."""
        if not self.compensate:
            return
        places = self.places[neuron]
        inverse, product = self.matrix[:, places], self.product[:, places]
        share = np.linalg.solve(inverse[places] + np.eye(len(places)) * 1e-12, inverse.T).T
        # (I - s e') K (I - e s'), written as one symmetric update: -(s h' + h s') with h = K e - s K_SS / 2.
        half = product - share @ product[places] / 2
        update = share @ half.T
        self.product -= update
        self.product -= update.T
        self.matrix -= share @ inverse.T
