"""Where the labels of points go, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

_GAP = 6.0
"""Points between a marker and its label."""

_RINGS = (1.0, 2.6, 4.2)
"""How far out a label may go, in gaps."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Choose for each label the place nearest to its point where it covers least of what is there already.

    Args:
        points: Where the points are.
        sizes: Width and height of each label, in the same unit.

    Returns:
        For each label the distance of its lower left corner from its point.
    """
    taken: list[Box] = [(x - _GAP / 2, y - _GAP / 2, x + _GAP / 2, y + _GAP / 2) for x, y in points]
    chosen: list[tuple[float, float]] = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        offsets = [
            (_GAP if right else -_GAP - width, ring * _GAP if above else -ring * _GAP - height)
            for ring, above, right in product(_RINGS, (True, False), (True, False))
        ]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in offsets]
        covered = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = covered.index(min(covered))
        chosen.append(offsets[best])
        taken.append(boxes[best])
    return chosen


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
