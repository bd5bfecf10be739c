"""A small model, and samples bound to it."""

import pytest
from chain import X, chain
from sardonyx.calib_data import CalibrationData
from sardonyx.core import input_specs


@pytest.fixture
def graph():
    """MatMul, Add, Relu, Sqrt."""
    return chain()


@pytest.fixture
def data(graph):
    """Fifty samples."""
    return CalibrationData.from_arrays({"x": X}).for_model(input_specs(graph))
