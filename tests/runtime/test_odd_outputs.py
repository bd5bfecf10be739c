"""What is said of outputs whatever they are measured by."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.runtime.odd_outputs import OutputWatch

SOME = np.arange(12.0).reshape(4, 3)


def notes_on(*batches: np.ndarray) -> str:
    watch = OutputWatch()
    for batch in batches:
        watch.see([batch], len(batch))
    return "; ".join(watch.notes())


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([SOME, SOME], ""),
        ([SOME[:1]], ""),
        ([np.where(SOME > 10, np.nan, SOME), SOME], "the outputs hold NaN or infinity on 1 of 8 samples"),
        ([SOME, np.where(SOME > 5, np.inf, SOME)], "the outputs hold NaN or infinity on 2 of 8 samples"),
        ([np.zeros((4, 3)), -np.zeros((2, 3))], "the outputs are the same on all 6 samples"),
        ([np.zeros((4, 3)), SOME[3:]], ""),
        ([np.zeros((4, 3)), np.zeros((4, 2))], ""),
        ([np.zeros((2, 3), np.int64)], "the outputs are the same on all 2 samples"),
        ([np.full((2, 3), np.nan)], "the outputs hold NaN or infinity on 2 of 2 samples"),
    ],
)
def test_odd_outputs(batches: list[np.ndarray], told: str) -> None:
    assert notes_on(*batches) == told


def test_outputs_that_are_not_batched_are_not_looked_at() -> None:
    watch = OutputWatch()
    watch.see([np.float32(np.nan), np.zeros((3, 2))], 4)
    assert list(watch.notes()) == []
