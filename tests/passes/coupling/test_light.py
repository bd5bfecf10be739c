"""The networks that come with onnx, in full size: their weights are left out there, and seeded noise here."""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.errors import ExpectationError, UsageError
from sardonyx.core.shapes import infer_shapes
from sardonyx.core.targets import get_target
from sardonyx.core.tensors import input_specs
from sardonyx.passes import CleanupPass
from sardonyx.passes.pruning import PruneOptions, prune

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
TARGET = get_target("cpu-x86")
OPTIONS = PruneOptions(ratio=0.5, scope="local", align=1, criterion="magnitude", compensate=False, steps=1)

LEFT = {
    "bvlc_alexnet": 0.30,
    "densenet121": 0.30,
    "inception_v1": 0.30,
    "inception_v2": 0.30,
    "resnet50": 0.30,
    "shufflenet": 0.37,
    "squeezenet": 0.36,
    "vgg19": 0.30,
    "zfnet512": 0.30,
}
"""The most parameters that half of every group may leave.

Of the last layer only the inputs go, and that is a large part of the two small networks. In ShuffleNet the shuffled
channels within a bottleneck go as a whole: 20 channels of each of 3 groups share no factor with the 3 groups.
"""

QUICK = {"shufflenet", "squeezenet"}
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in LEFT]


def filled(value: ir.Value, shape: list[int], random: np.random.Generator) -> np.ndarray:
    """Weights that keep the scale of what passes through them; variances and factors are positive."""
    noise = random.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return noise / np.float32(prod(shape[1:]) ** 0.5)
    is_normalization = any(use.node.op_type == "BatchNormalization" for use in value.uses())
    return np.abs(noise) + np.float32(0.5) if is_normalization else noise / np.float32(10)


@cache
def network(name: str) -> ir.Model:
    """The network with seeded weights, cleaned up."""
    model, random = ir.load(FOLDER / f"light_{name}.onnx"), np.random.default_rng(0)
    for node in [n for n in model.graph if n.op_type == "ConstantOfShape"]:
        made, shape = node.outputs[0], node.inputs[0].const_value.numpy().tolist()
        content = filled(made, shape, random)
        weight = ir.val(f"{made.name}_filled", const_value=ir.tensor(content, name=f"{made.name}_filled"))
        model.graph.register_initializer(weight)
        ir.convenience.replace_all_uses_with(made, weight)
        model.graph.remove(node, safe=True)
    # Their format, version 3, wants every weight among the inputs.
    used = [v for v in model.graph.inputs if v.uses()]
    weights = [v for v in model.graph.initializers.values() if v not in used]
    model.graph.inputs.clear()
    model.graph.inputs.extend([*used, *(v for v in weights if v.uses())])
    infer_shapes(model)
    last = model.graph.outputs[0].producer()
    if last.op_type == "Softmax":  # which would hide a difference
        model.graph.outputs[0] = last.inputs[0]
        model.graph.remove(last)
    CleanupPass()(model)
    return model


def noise(model: ir.Model, count: int = 2) -> CalibrationData:
    (value,) = model.graph.inputs
    shape = (count, *value.shape.numpy()[1:])
    arrays = {value.name: np.random.default_rng(1).standard_normal(shape, dtype=np.float32)}
    return CalibrationData.from_arrays(arrays).for_model(input_specs(model))


@pytest.mark.parametrize("name", NAMES)
def test_half_of_every_group_goes_and_the_proof_holds(name: str) -> None:
    model = network(name)
    report = prune(model, noise(model), OPTIONS, target=TARGET, runner=OrtRunner(threads=1)).report
    assert report.proof.largest_difference <= 1e-5
    assert all(skip.text for skip in report.skipped)
    assert report.after.params / report.before.params <= LEFT[name], [
        (s.node, s.text) for s in report.skipped
    ]


def test_criteria_that_look_at_outputs_want_samples() -> None:
    with pytest.raises(UsageError, match="need samples"):
        prune(network("squeezenet"), None, PruneOptions(ratio=0.5), target=TARGET)


def test_a_network_of_which_everything_is_excluded_is_refused() -> None:
    options = PruneOptions(ratio=0.5, criterion="magnitude", compensate=False, exclude=("*",))
    with pytest.raises(ExpectationError, match="no group of neurons may be cut"):
        prune(network("squeezenet"), None, options, target=TARGET)
