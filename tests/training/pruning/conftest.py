"""One convolution whose channels are the neurons: they make 36 columns of a linear layer each."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.training.pruning import NeuronGroup, Slice

PIXELS = 36


def channels(width: int, name: str = "0.weight") -> NeuronGroup:
    """The neurons of `make_net(width)`."""
    one = np.arange(width).reshape(-1, 1)
    columns = np.arange(PIXELS * width).reshape(width, PIXELS)
    made = [Slice(own, 0, one, "makes") for own in (name, "1.weight", "1.bias")]
    return NeuronGroup(name, width, (*made, Slice("5.weight", 1, columns, "reads")))


@pytest.fixture
def neurons():
    return channels
