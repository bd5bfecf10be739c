"""Labels of points that lie close together."""

from __future__ import annotations

import itertools

import pytest
from sardonyx.pipeline.report.labels import place_labels

Point = tuple[float, float]


def boxes(points: list[Point], sizes: list[Point]) -> list[tuple[float, float, float, float]]:
    offsets = place_labels(points, sizes)
    corners = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(points, offsets, strict=True)]
    return [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0)],
        [(0.0, 0.0), (300.0, 0.0)],
        [(0.0, 0.0), (10.0, 3.0), (30.0, -2.0)],
        [(0.0, 0.0)] * 5,
    ],
)
def test_no_label_lies_on_another(points: list[Point]) -> None:
    found = boxes(points, [(60.0, 11.0)] * len(points))
    assert all(apart(one, other) for one, other in itertools.combinations(found, 2))


def test_a_label_alone_stands_above_to_the_right() -> None:
    assert place_labels([(5.0, 5.0)], [(60.0, 11.0)]) == [(6.0, 6.0)]
