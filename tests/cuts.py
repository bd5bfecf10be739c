"""Cutting a graph in a test, and what the masked original gives."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.passes.base import validate
from sardonyx.passes.constants import all_initializers
from sardonyx.passes.coupling import Kept, analyze, cut_classes
from sardonyx.passes.pruning.masking import masked
from sardonyx.passes.pruning.proof import Proof, prove_cut

RUNNER = OrtRunner(threads=1)


def noise(model: ir.Model, count: int = 2, seed: int = 7) -> CalibrationData:
    """Seeded normal samples for the model's input; free dimensions behind the first are 8."""
    value = model.graph.inputs[0]
    shape = [count, *(d if isinstance(d, int) else 8 for d in list(value.shape)[1:])]
    array = np.random.default_rng(seed).standard_normal(shape)
    return CalibrationData.from_arrays({value.name: array.astype(value.dtype.numpy())})


def run(model: ir.Model, data: CalibrationData | None = None) -> np.ndarray:
    """The first output, optimisations off."""
    return run_all(model, data)[0]


def run_all(model: ir.Model, data: CalibrationData | None = None) -> list[np.ndarray]:
    """Every output, optimisations off."""
    data = data or noise(model)
    names = [value.name for value in model.graph.outputs]
    outputs = next(iter(RUNNER.run(model, data.batches(len(data)), names)))
    return [outputs[name] for name in names]


def chosen(model: ir.Model, share: float, seed: int = 0, *, approximate: bool = False) -> np.ndarray:
    """A seeded choice of neurons of every group, never all of one."""
    random = np.random.default_rng(seed)
    picks = [
        random.choice(g.classes, min(int(share * g.size), g.size - 1), replace=False)
        for g in analyze(model, approximate=approximate).groups
    ]
    return np.concatenate(picks) if picks else np.zeros(0, dtype=np.int64)


def cut(model: ir.Model, labels: np.ndarray, *, approximate: bool = False) -> ir.Model:
    """A smaller copy, proven valid and without leftovers."""
    copy = model.clone()
    cut_classes(copy, analyze(copy, approximate=approximate), labels)
    validate(copy)
    assert unread(copy) <= unread(model)
    return copy


def unread(model: ir.Model) -> set[str]:
    """Initializers that nothing reads."""
    return {v.name for v in all_initializers(model.graph) if not v.uses() and not v.is_graph_output()}


def prove(model: ir.Model, labels: np.ndarray, *, approximate: bool = False) -> Proof:
    """Masked original against cut model, on noise; raises where they differ by more than rounding explains."""
    coupling = analyze(model, approximate=approximate)
    reference = masked(model, coupling, Kept(coupling, labels))
    return prove_cut(reference, cut(model, labels, approximate=approximate), noise(model), RUNNER)
