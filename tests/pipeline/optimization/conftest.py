"""Candidates that nobody made, and a small network with branches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import sardonyx as sx
from nets import Net
from sardonyx.passes.pruning import find_branches
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


@pytest.fixture(scope="module")
def residual() -> sx.ModelArtifact:
    """Two blocks, of which the second adds next to nothing."""
    n = Net()
    stem = n.relu(n.conv(n.x, 16))
    first = n.relu(n.add(stem, n.conv(n.relu(n.conv(stem, 16)), 16)))
    second = n.relu(n.add(first, n.conv(n.relu(n.conv(first, 16)), 16)))
    model = n.model(n.head(second))
    weak = next(node for node in model.graph if node.name == find_branches(model)[1].nodes[-1])
    value = weak.inputs[1]
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1e-3), name=value.name)
    return sx.ModelArtifact.of(model)


@pytest.fixture(scope="module")
def samples() -> sx.CalibrationData:
    random = np.random.default_rng(0)
    return sx.CalibrationData.from_arrays({"x": random.standard_normal((64, 3, 8, 8)).astype("f4")})
