"""Candidates that nobody made: what they lose and how fast they are is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sardonyx.pipeline.optimization import Candidate, Plan
from sardonyx.runtime import Accuracy

Make = Callable[..., Candidate]


@pytest.fixture
def make() -> Make:
    def made(plan: Plan, speed: float = 1.0, lost: float = 0.0, size_bytes: int = 1000) -> Candidate:
        return Candidate(
            plan=plan,
            file=Path("model.onnx"),
            sha256="0" * 64,
            size_bytes=size_bytes,
            accuracy=Accuracy("top1", 0.9 - lost, None, None, 100, "given"),
            lost=lost,
            speed_ratio=speed,
            speed_low_ratio=speed,
            speed_high_ratio=speed,
            params_ratio=1.0,
            figures={},
        )

    return made
