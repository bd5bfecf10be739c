"""How many neurons each group keeps: the cheapest cuts for the budget, in widths that the hardware likes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from .costing import CostModel, Ledger, Widths
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
    ledger = Ledger(cost, np.asarray([options[0] for options in widths], dtype=np.int64))
    history: list[tuple[float, int, int]] = []
    # The cheapest cut of each group, with the round in which it was priced: only the last price of a group holds.
    priced = [0] * len(widths)
    queue = [
        (*move, 0)
        for g in range(len(widths))
        for move in _cheapest(curves[g], cost, ledger.widths, g, widths[g])
    ]
    heapq.heapify(queue)
    while queue and ledger.exceeds(budget):
        price, group, width, then = heapq.heappop(queue)
        if then != priced[group]:
            continue
        history.append((price, group, int(ledger.widths[group])))
        ledger.put(group, width)
        for g in cost.neighbours(group):
            priced[g] += 1
            for move in _cheapest(curves[g], cost, ledger.widths, g, widths[g]):
                heapq.heappush(queue, (*move, priced[g]))
    return _give_back(ledger, history, budget)


def _cheapest(
    curve: Curve, cost: CostModel, current: Widths, group: int, options: Sequence[int]
) -> list[tuple[float, int, int]]:
    """The cut of a group with the least cost for each unit saved: its price, group and width; none where it is over."""
    moves = [(_price(curve, cost, current, group, w), group, w) for w in options if w < current[group]]
    return [min(moves)] if moves else []


def allocate_local(cost: CostModel, budget: float, widths: Sequence[Sequence[int]]) -> Widths:
    """Cut every group by the same share: the largest share of neurons kept that holds the budget."""
    return _largest_share(lambda share: same_share(share, widths), cost, budget)


def allocate_isomorphic(
    curves: Sequence[Curve],
    kinds: Sequence[object],
    cost: CostModel,
    budget: float,
    widths: Sequence[Sequence[int]],
) -> Widths:
    """Cut every kind of group by the same share of its neurons; within a kind, what hurts least goes first.

    Args:
        curves: Cost of each group's cuts.
        kinds: The kind of each group.
        cost: The cost model of the budget.
        budget: What may be left.
        widths: Allowed widths of each group, the widest first.

    Returns:
        The width of each group: the largest common share that holds the budget.
    """
    paths = [
        _cheapest_first(curves, widths, [g for g, k in enumerate(kinds) if k == kind])
        for kind in dict.fromkeys(kinds)
    ]
    full = np.asarray([options[0] for options in widths], dtype=np.int64)

    def cut_to(share: float) -> Widths:
        current = full.copy()
        for members, path in paths:
            wanted = share * full[members].sum()
            for group, width in path:
                if current[members].sum() <= wanted:
                    break
                current[group] = width
        return current

    return _largest_share(cut_to, cost, budget)


def _largest_share(cut_to: Callable[[float], Widths], cost: CostModel, budget: float) -> Widths:
    """The widths at the largest share that holds the budget, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost.total(cut_to(middle)) <= budget else (low, middle)
    return cut_to(low)


def _cheapest_first(
    curves: Sequence[Curve], widths: Sequence[Sequence[int]], members: list[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """The members of a kind, and their cuts in the order of what each costs for a neuron."""
    current = {g: widths[g][0] for g in members}
    path: list[tuple[int, int]] = []
    while moves := [
        (_loss(curves[g], current[g], w) / (current[g] - w), -w, g)
        for g in members
        for w in widths[g]
        if w < current[g]
    ]:
        _, narrowed, group = min(moves)
        current[group] = -narrowed
        path.append((group, -narrowed))
    return members, path


def same_share(share: float, widths: Sequence[Sequence[int]]) -> Widths:
    """The allowed width of each group that is nearest to a share of its size, from below where two are."""
    chosen = [min(options, key=lambda w: (abs(w - share * options[0]), w)) for options in widths]
    return np.asarray(chosen, dtype=np.int64)


def _price(curve: Curve, cost: CostModel, current: Widths, group: int, width: int) -> float:
    return _loss(curve, int(current[group]), width) / max(cost.saving(current, group, width), 1e-9)


def _loss(curve: Curve, current: int, width: int) -> float:
    """What is lost when a group goes from one width to a smaller one."""
    size = len(curve.order)
    return float(curve.cost[size - width] - curve.cost[size - current])


def _give_back(ledger: Ledger, history: list[tuple[float, int, int]], budget: float) -> Widths:
    for _, group, width in sorted(history, reverse=True):
        now = int(ledger.widths[group])
        if width > now:
            ledger.put(group, width)
            if ledger.exceeds(budget):
                ledger.put(group, now)
    return ledger.widths
