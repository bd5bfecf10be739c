"""Small graphs and samples for the passes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner


@pytest.fixture
def net() -> type[Net]:
    """The builder."""
    return Net


@pytest.fixture
def samples():
    """Seeded normal samples for a model's input ``x``."""

    def make(*shape: int, count: int = 64, seed: int = 1) -> CalibrationData:
        return CalibrationData.from_arrays(
            {"x": np.random.default_rng(seed).standard_normal((count, *shape)).astype("f4")}
        )

    return make


@pytest.fixture
def outputs():
    """Run a model on data and return the outputs, optimisations off."""

    def run(model: ir.Model, data: CalibrationData) -> list[np.ndarray]:
        names = [v.name for v in model.graph.outputs]
        runs = list(OrtRunner(threads=1).run(model, data.batches(16), names))
        return [np.concatenate([r[name] for r in runs]) for name in names]

    return run
