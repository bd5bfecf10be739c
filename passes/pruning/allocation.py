"""How many neurons each group keeps: the cheapest cuts for the budget, in widths that the hardware likes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .costing import CostModel, Widths
from .criteria import Curve


def allowed_widths(size: int, multiple: int, min_width: int) -> list[int]:
    """Widths that a group of this size may have, the widest first.

    A width below the multiple would waste most of a vector block; groups too narrow for two blocks use half the
    multiple, and half of that again.

    Args:
        size: Number of neurons now.
        multiple: The target's multiple.
        min_width: Fewest neurons to keep.
    """
    while multiple > 1 and size < 2 * multiple:
        multiple //= 2
    widths = [w for w in range(multiple, size, multiple) if w >= min_width]
    return [size, *reversed(widths)]


def allocate_global(
    curves: Sequence[Curve], cost: CostModel, budget: float, widths: Sequence[Sequence[int]]
) -> Widths:
    """Spend the budget where it hurts least for what it saves.

    Greedy on the lower hull: of all allowed widths of all groups, the one with the least cost for each unit saved
    is taken, until the budget holds; what was then cut in vain is given back, the dearest first.

    Args:
        curves: Cost of each group's cuts.
        cost: The cost model of the budget.
        budget: What may be left.
        widths: Allowed widths of each group, the widest first.

    Returns:
        The width of each group; as close to the budget as the widths allow.
    """
    current = np.asarray([options[0] for options in widths], dtype=np.int64)
    history: list[tuple[float, int, int]] = []
    while cost.total(current) > budget:
        moves = [
            (_price(curves[g], cost, current, g, w), g, w)
            for g, options in enumerate(widths)
            for w in options
            if w < current[g]
        ]
        if not moves:
            break
        price, group, width = min(moves)
        history.append((price, group, int(current[group])))
        current[group] = width
    return _give_back(current, history, cost, budget)


def allocate_local(cost: CostModel, budget: float, widths: Sequence[Sequence[int]]) -> Widths:
    """Cut every group by the same share: the largest share of neurons kept that holds the budget."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost.total(same_share(middle, widths)) <= budget else (low, middle)
    return same_share(low, widths)


def same_share(share: float, widths: Sequence[Sequence[int]]) -> Widths:
    """The allowed width of each group that is nearest to a share of its size, from below where two are."""
    chosen = [min(options, key=lambda w: (abs(w - share * options[0]), w)) for options in widths]
    return np.asarray(chosen, dtype=np.int64)


def _price(curve: Curve, cost: CostModel, current: Widths, group: int, width: int) -> float:
    size = len(curve.order)
    loss = curve.cost[size - width] - curve.cost[size - int(current[group])]
    return float(loss) / max(cost.saving(current, group, width), 1e-9)


def _give_back(
    current: Widths, history: list[tuple[float, int, int]], cost: CostModel, budget: float
) -> Widths:
    for _, group, width in sorted(history, reverse=True):
        wider = current.copy()
        wider[group] = width
        if width > current[group] and cost.total(wider) <= budget:
            current = wider
    return current
