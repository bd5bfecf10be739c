"""Networks as they come: into float16, back, and as hardware would compute them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_nets import random_nets
from sardonyx.calib_data import OrtRunner
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import InputError
from sardonyx.core.tensors import input_specs
from sardonyx.passes.output_error import OutputError
from sardonyx.passes.precision import emulate_float16, is_narrow, to_float16, to_float32


def feed(model):
    random = np.random.default_rng(0)
    specs = input_specs(model)
    sizes = {s.name: [d if isinstance(d, int) else 4 for d in s.shape] for s in specs}
    arrays = {n: random.standard_normal(size).astype("f4") for n, size in sizes.items()}
    return CalibrationData.from_arrays(arrays).for_model(specs)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=random_nets())
def test_there_and_back(model):
    half = to_float16(model).model
    back = to_float32(half)
    measured = OutputError(model, feed(model), OrtRunner(threads=1))
    assert is_narrow(half)
    assert measured.worst(half) < 0.03
    assert measured.worst(back) < 0.03
    assert measured.worst(emulate_float16(half)) < 0.03


def test_a_model_of_integers_is_refused(network):
    with pytest.raises(InputError):
        to_float16(network("g (int64[N] x) => (int64[N] y) { y = Mul(x, x) }"))
