"""Quantization-aware healing: what is written computes as what was trained."""

from dataclasses import replace

import numpy as np
import pytest
import sardonyx as sx
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.passes.quantization import QuantizeOptions, Quantizer, retrainable, retrained

torch = pytest.importorskip("torch")

from sardonyx.pipeline.qat import heal_quantized
from sardonyx.training.healing import HealOptions, RoundedGraph, Rounding

SHORT = HealOptions(epochs=4, batch_size=8, learning_rate=5e-3, validation_ratio=0.25, label_weight=0.0)


def dressed(model, data, target, **words):
    """A quantizer, what it made, the graph to train, and that graph with its rounding."""
    quantizer = Quantizer(model.load(), data, QuantizeOptions(**words), target=sx.get_target(target))
    outcome = quantizer.quantize()
    base = retrainable(quantizer, outcome)
    weights = [Rounding(w.initializer, w.scale, w.lowest, w.highest) for w in base.weights]
    return quantizer, outcome, base, RoundedGraph(base.model, weights, base.scales.values())


def outputs(model, data):
    names = [v.name for v in model.graph.outputs]
    runs = OrtRunner().run(model, data.batches(16), names, optimize=False)
    return np.concatenate([next(iter(run.values())) for run in runs])


def trained_outputs(graph, data):
    with torch.no_grad():
        found = [graph(*map(torch.from_numpy, feed.values())) for feed in data.batches(16)]
    return torch.cat(found).numpy()


@pytest.mark.parametrize("words", [{}, {"weight_bits": 4}, {"symmetric": True}, {"per_channel": False}])
@pytest.mark.parametrize("target", ["cpu-x86", "cpu-arm64", "tensorrt"])
def test_before_training_it_is_the_quantized_graph(
    model: sx.ModelArtifact, data: sx.CalibrationData, target: str, words: dict
) -> None:
    if target == "tensorrt" and "symmetric" in words:
        words = {}
    _, outcome, _, graph = dressed(model, data, target, **words)
    expected = outputs(outcome.model, data)
    np.testing.assert_allclose(
        trained_outputs(graph.module.eval(), data), expected, atol=2e-3 * np.abs(expected).max()
    )


def test_what_is_written_computes_as_what_was_trained(
    model: sx.ModelArtifact, data: sx.CalibrationData
) -> None:
    quantizer, outcome, base, graph = dressed(model, data, "cpu-x86", weight_bits=4)
    with torch.no_grad():  # as if all of it had been trained
        for index, parameter in enumerate(graph.module.parameters()):
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
    expected = trained_outputs(graph.module.eval(), data)
    written = retrained(quantizer, outcome, base, graph.arrays(), graph.weight_scales())
    np.testing.assert_allclose(outputs(written.model, data), expected, atol=2e-3 * np.abs(expected).max())
    assert {n.op_type for n in written.model.graph} == {n.op_type for n in outcome.model.graph}


def test_training_with_four_bits_wins_back_what_they_cost(
    model: sx.ModelArtifact, data: sx.CalibrationData
) -> None:
    longer = replace(SHORT, epochs=10)
    result = heal_quantized(model, model, data, quantize=QuantizeOptions(weight_bits=4), options=longer)
    assert result.report.history[-1].losses["total"] < 0.6 * result.report.history[0].losses["total"]
    assert result.report.evaluation_score >= result.report.before_score
    assert result.quantization.types.weight_bits == 4


def test_scales_are_trained(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    plain = sx.quantize(model, data).report
    healed = heal_quantized(model, model, data, options=SHORT).quantization
    before, after = ({t.value: t.scale for t in report.tensors} for report in (plain, healed))
    assert before.keys() == after.keys()
    assert any(after[name] != pytest.approx(before[name], rel=1e-4) for name in before)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"exclude": ("*",)}, sx.InputError), ({"activation_type": "int16"}, sx.UsageError)],
)
def test_refusals(model: sx.ModelArtifact, data: sx.CalibrationData, options: dict, error: type) -> None:
    with pytest.raises(error):
        heal_quantized(model, model, data, quantize=QuantizeOptions(**options), options=SHORT)
