"""Learning rates at known steps."""

from __future__ import annotations

import pytest
from sardonyx.training import rate_factor


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        ("constant", 7, 1.0),
        ("cosine", 0, 1.0),
        ("cosine", 50, 0.5),
        ("cosine", 100, 0.0),
        ("one-cycle", 0, 0.04),
        ("one-cycle", 10, 0.52),
        ("one-cycle", 20, 1.0),
        ("one-cycle", 60, 0.5),
        ("one-cycle", 100, 0.0),
    ],
)
def test_factor(schedule, step, factor) -> None:
    assert rate_factor(schedule, step, 100, warmup_ratio=0.2) == pytest.approx(factor)


def test_no_warmup_starts_at_the_top() -> None:
    assert rate_factor("one-cycle", 0, 100, warmup_ratio=0.0) == 1.0
