"""Bringing a cut network's outputs back to the original's: exact where it can be, and never worse on held-out samples."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.pruning.correction import correct_outputs

RUNNER = OrtRunner(threads=1)
X = np.random.default_rng(0).standard_normal((96, 3, 8, 8)).astype("f4")
DATA = CalibrationData.from_arrays({"x": X})


def network(kind: str) -> ir.Model:
    """One linear layer of its kind between others."""
    n = Net()
    a = n.relu(n.conv(n.x, 8))
    if kind == "Conv":
        return n.model(n.head(n.relu(n.conv(a, 6))))
    flat = n.op("Flatten", n.act("GlobalAveragePool", a))
    if kind == "MatMul with a bias behind":
        hidden = n.op("Add", n.op("MatMul", flat, n.rand(8, 12)), n.rand(12))
        return n.model(n.op("MatMul", n.op("Relu", hidden), n.rand(12, 5)))
    if kind == "MatMul":
        return n.model(n.op("MatMul", n.op("Relu", n.op("MatMul", flat, n.rand(8, 12))), n.rand(12, 5)))
    hidden = n.op("Gemm", flat, n.rand(8, 12), n.rand(12))
    return n.model(n.op("Gemm", n.op("Relu", hidden), n.rand(5, 12), n.rand(5), transB=1))


def distort(model: ir.Model, name: str) -> None:
    """Mix a layer's outputs: what a linear map can undo."""
    value = model.graph.initializers[name]
    array = value.const_value.numpy()
    axis = 0 if array.ndim == 4 else 1
    mix = np.eye(array.shape[axis]) + 0.2 * np.random.default_rng(1).standard_normal((array.shape[axis],) * 2)
    mixed = np.moveaxis(np.tensordot(mix, np.moveaxis(array, axis, 0), axes=(1, 0)), 0, axis)
    value.const_value = ir.tensor(np.ascontiguousarray(mixed.astype("f4")), name=name)


def error(model: ir.Model, original: ir.Model) -> float:
    name = model.graph.outputs[0].name
    one, other = (
        np.concatenate([r[name] for r in RUNNER.run(m, DATA.batches(32), [name])]) for m in (model, original)
    )
    return float(((one - other) ** 2).sum() / ((other - other.mean(0)) ** 2).sum())


@pytest.mark.parametrize(
    ("kind", "weight"),
    [("Conv", "w2"), ("Gemm", "w2"), ("MatMul", "w2"), ("MatMul with a bias behind", "w2")],
)
def test_what_a_linear_map_did_is_undone(kind: str, weight: str) -> None:
    original = network(kind)
    model = original.clone()
    distort(model, weight)
    before = error(model, original)
    gains = correct_outputs(model, original, {}, DATA, RUNNER)
    assert before > 1e-3
    assert error(model, original) < 1e-3 * before
    assert all(gain.error_after < gain.error_before for gain in gains)


def test_channels_of_a_depthwise_layer_are_corrected_each_by_itself() -> None:
    n = Net()
    a = n.conv(n.relu(n.conv(n.x, 8)), 8, group=8)
    original = n.model(n.head(n.relu(a)))
    model = original.clone()
    value = model.graph.initializers["w2"]
    scales = np.linspace(0.5, 1.5, 8, dtype="f4").reshape(8, 1, 1, 1)
    value.const_value = ir.tensor(value.const_value.numpy() * scales, name="w2")
    before = error(model, original)
    correct_outputs(model, original, {}, DATA, RUNNER)
    assert error(model, original) < 1e-3 * before


def test_what_is_right_already_is_left_alone() -> None:
    original = network("Conv")
    model = original.clone()
    assert correct_outputs(model, original, {}, DATA, RUNNER) == []
    assert error(model, original) == 0.0


def test_a_shared_weight_is_left_alone() -> None:
    n = Net()
    shared = n.rand(8, 8, 3, 3, name="shared")
    a = n.relu(n.conv(n.x, 8))
    for _ in range(2):
        a = n.op("Relu", n.op("Conv", a, shared, pads=[1] * 4))
    n.widths[a.name] = 8
    original = n.model(n.head(a))
    model = original.clone()
    distort(model, "shared")
    before = model.graph.initializers["shared"].const_value.numpy().copy()
    correct_outputs(model, original, {}, DATA, RUNNER)
    np.testing.assert_array_equal(model.graph.initializers["shared"].const_value.numpy(), before)


def test_a_cut_is_closer_to_the_original_for_it() -> None:
    n = Net()
    a = n.relu(n.conv(n.x, 16))
    model = n.model(n.head(n.relu(n.add(a, n.conv(n.relu(n.conv(a, 24)), 16)))))
    options = PruneOptions(params=0.4, align=1, steps=3)
    outcome = prune(model, DATA, options, target=get_target("cpu-x86"))
    gains = outcome.report.corrections
    assert gains
    assert all(gain.error_after < gain.error_before for gain in gains)
    assert error(outcome.model, model) < 0.2


def test_a_layer_too_wide_for_new_weights_has_its_outputs_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sardonyx.passes.pruning.correction.MOST_FEATURES", 10)
    original = network("Conv")
    model = original.clone()
    distort(model, "w2")
    before = error(model, original)
    correct_outputs(model, original, {}, DATA, RUNNER)
    assert error(model, original) < 1e-3 * before


def test_a_layer_takes_up_what_the_other_branch_lacks() -> None:
    n = Net()
    a = n.relu(n.conv(n.x, 8))
    original = n.model(n.head(n.relu(n.add(a, n.conv(a, 8)))))
    model = original.clone()
    distort(model, "w0")
    before = error(model, original)
    (gain, *_) = [g for g in correct_outputs(model, original, {}, DATA, RUNNER) if g.node]
    assert gain.error_after < gain.error_before
    assert error(model, original) < 0.1 * before
