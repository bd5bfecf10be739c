"""Bias correction: the mean of the outputs is that of the float layer, whatever the integers and the clipping did."""

import numpy as np
import pytest
from sardonyx.passes.quantization.bias_correction import bias_shift
from sardonyx.passes.quantization.parameters import activation_parameters


@pytest.mark.parametrize("groups", [1, 3])
def test_the_mean_comes_back(groups):
    random = np.random.default_rng(groups)
    x = random.gamma(2.0, size=(500, groups, 7)).astype(np.float32)
    clipped = activation_parameters(0.0, 2.0, "uint8", symmetric=False).restored(x)
    weight = random.standard_normal((groups, 4, 7))
    coarse = np.rint(weight * 4) / 4
    shift = bias_shift(weight, coarse, x.mean(0), clipped.mean(0))
    exact = np.einsum("goi,rgi->rgo", weight, x).reshape(500, -1)
    rounded = np.einsum("goi,rgi->rgo", coarse, clipped).reshape(500, -1)
    assert np.abs((exact - rounded).mean(0)).max() > 0.1
    np.testing.assert_allclose((rounded + shift).mean(0), exact.mean(0), atol=1e-5)
    assert ((exact - rounded - shift) ** 2).mean() < ((exact - rounded) ** 2).mean()


def test_means_of_another_layer_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        bias_shift(np.ones((1, 2, 3)), np.ones((1, 2, 3)), np.ones((1, 4)), np.ones((1, 3)))
