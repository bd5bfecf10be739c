"""Repair in closed form: exact where it can be, once for every weight, and cautious where samples are few."""

from __future__ import annotations

import numpy as np
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.pruning.shrinkage import RIDGES, best_ridge, predict

TARGET = get_target("cpu-x86")


def correlated(rows: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((3, width))
    return random.standard_normal((rows, 3)) @ mix + 0.5 * random.standard_normal((rows, width))


def moments(rows: np.ndarray) -> np.ndarray:
    return rows.T @ rows / len(rows)


@pytest.mark.parametrize("ridge", RIDGES[:3])
def test_an_input_that_repeats_another_is_replaced_exactly(ridge):
    x = np.random.default_rng(0).standard_normal((200, 4))
    x[:, 3] = x[:, 1]
    share = predict(moments(x), np.array([True, True, True, False]), ridge)
    np.testing.assert_allclose(share[:, 0], [0, 1, 0], atol=1e-5)


def test_few_samples_are_trusted_less_than_many():
    weights = np.ones((40, 2))
    few, many = (
        best_ridge(
            moments(correlated(n, 40, 1)), moments(correlated(n, 40, 2)), weights, np.random.default_rng(0)
        )
        for n in (24, 4000)
    )
    assert few > many


def test_a_weight_that_two_layers_share_is_repaired_once(outputs):
    n = Net()
    shared = n.rand(16, 16, 1, 1, name="shared")
    a = n.conv(n.x, 16)
    b = n.op("Conv", a, shared)
    c = n.op("Conv", n.op("Add", a, a), shared)
    total = n.op("Add", b, c)
    n.widths[total.name] = 16
    model = n.model(n.head(total))
    data = CalibrationData.from_arrays(
        {"x": np.random.default_rng(0).standard_normal((64, 3, 8, 8)).astype("f4")}
    )
    errors = []
    for compensate in (True, False):
        options = PruneOptions(ratio=0.5, align=1, steps=1, compensate=compensate)
        cut = prune(model, data, options, target=TARGET).model
        errors.append(float(((outputs(cut, data)[0] - outputs(model, data)[0]) ** 2).mean()))
    assert errors[0] < 0.5 * errors[1]


def test_a_repair_without_samples_is_refused():
    n = Net()
    with pytest.raises(UsageError, match="need samples"):
        prune(n.model(n.head(n.relu(n.conv(n.x, 8)))), None, PruneOptions(ratio=0.5), target=TARGET)
