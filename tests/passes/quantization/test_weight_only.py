"""Blocks of 4 and 8 bits, against ONNX Runtime's own quantizer and kernel."""

import numpy as np
import pytest
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    DefaultWeightOnlyQuantizer,
)
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import InputError, ModelError, UsageError
from sardonyx.passes.quantization import WeightOnlyOptions, quantize_weights
from sardonyx.passes.quantization.blocks import BlockFormat, pack, quantize_blocks, restore_blocks


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [16, 32, 128])
@pytest.mark.parametrize("rows", [128, 384])
def test_blocks_are_those_of_onnxruntime(normal, bits, block, rows):
    weight = normal(rows, 24)
    config = DefaultWeightOnlyQuantConfig(block_size=block, is_symmetric=False, bits=bits)
    packed, scales, zeros = DefaultWeightOnlyQuantizer(config).qbits_block_quant(weight)
    blocks = quantize_blocks(weight, BlockFormat(bits, block))
    np.testing.assert_array_equal(blocks.packed, packed)
    np.testing.assert_array_equal(blocks.scales, scales)
    np.testing.assert_array_equal(pack(blocks.zero_points, bits), zeros)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("rows", [31, 96])
def test_the_error_is_about_half_a_step(normal, bits, symmetric, rows):
    weight = normal(rows, 6)
    blocks = quantize_blocks(weight, BlockFormat(bits, 32, symmetric))
    steps = np.repeat(blocks.scales, 32, axis=1).T[:rows]
    assert (np.abs(restore_blocks(blocks, rows, bits) - weight) <= steps * 1.001).all()
    assert (blocks.scales > 0).all()


def test_zeros_are_exact():
    blocks = quantize_blocks(np.zeros((64, 3), np.float32), BlockFormat(4, 32))
    assert not restore_blocks(blocks, 64, 4).any()


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("call", "shape"),
    [
        ("MatMul(x, w)", (40, 12)),
        ("Gemm <alpha = 0.5, beta = 2.0> (x, w, b)", (40, 12)),
        ("Gemm <transB = 1> (x, w, b)", (12, 40)),
    ],
)
def test_the_kernel_computes_with_the_blocks(network, normal, call, shape, symmetric):
    weights = {"w": normal(*shape), "b": normal(12, seed=1)}
    used = weights if "b)" in call else {"w": weights["w"]}
    model = network(f"g (float[N,40] x) => (float[N,12] y) {{ y = {call} }}", used)
    options = WeightOnlyOptions(bits=8, symmetric=symmetric)
    result = quantize_weights(model, options)
    feed = {"x": normal(5, 40, seed=2, scale=1.0)}
    exact, rounded = (next(iter(OrtRunner().run(m, [feed], ["y"])))["y"] for m in (model, result.model))
    assert np.abs(exact - rounded).max() < 0.02 * np.abs(exact).max()
    assert result.model.opset_imports["com.microsoft"] == 1
    assert result.report.weights[0].sqnr_db > 35


def test_the_names_of_outputs_stay(network, normal):
    model = network("g (float[N,32] x) => (float[N,8] y) { y = MatMul(x, w) }", {"w": normal(32, 8)})
    result = quantize_weights(model)
    assert [v.name for v in result.model.graph.outputs] == ["y"]
    assert result.report.after.size_bytes < 0.3 * result.report.before.size_bytes


@pytest.mark.parametrize("wrong", [{"bits": 3}, {"block_size": 8}, {"block_size": 48}])
def test_options_are_checked(wrong):
    with pytest.raises(UsageError):
        WeightOnlyOptions(**wrong)


def test_twice_is_refused(network, normal):
    model = network("g (float[N,32] x) => (float[N,8] y) { y = MatMul(x, w) }", {"w": normal(32, 8)})
    with pytest.raises(InputError, match="quantized already"):
        quantize_weights(quantize_weights(model).model)


def test_nothing_to_quantize_is_refused(network):
    with pytest.raises(InputError, match="no matrix product"):
        quantize_weights(network("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }", {}))


def test_weights_that_are_not_finite_are_named(network):
    model = network(
        "g (float[N,32] x) => (float[N,2] y) { y = MatMul(x, w) }", {"w": np.full((32, 2), np.nan, "f4")}
    )
    with pytest.raises(ModelError, match="'w'"):
        quantize_weights(model)
