"""First states of zeros go, others stay."""

from __future__ import annotations

import numpy as np
import pytest
from nets import Net
from sardonyx.passes.recurrent_states import drop_zero_states


@pytest.mark.parametrize(
    ("how", "dropped"), [("zeros", 1), ("filled", 1), ("expanded", 1), ("ones", 0), ("none", 0)]
)
def test_only_zeros_are_left_out(how: str, dropped: int) -> None:
    n = Net((5, 2, 8))
    state = {
        "zeros": lambda: n.const(np.zeros((1, 2, 4), "f4")),
        "ones": lambda: n.const(np.ones((1, 2, 4), "f4")),
        "filled": lambda: n.op("ConstantOfShape", n.ints(1, 2, 4)),
        "expanded": lambda: n.op("Expand", n.const(np.zeros((1, 1, 4), "f4")), n.ints(1, 2, 4)),
        "none": lambda: None,
    }[how]()
    n.op("GRU", n.x, n.rand(1, 12, 8), n.rand(1, 12, 4), None, None, state, outputs=2, hidden_size=4)
    model = n.model(n.nodes[-1].outputs[0])
    assert drop_zero_states(model) == dropped
    left = [v for v in list(model.graph)[-1].inputs if v is not None]
    assert len(left) == 3 + (how == "ones")


def test_a_layer_with_few_inputs_is_left_alone() -> None:
    n = Net((5, 2, 8))
    n.op("LSTM", n.x, n.rand(1, 16, 8), n.rand(1, 16, 4), n.rand(1, 32), outputs=2, hidden_size=4)
    assert drop_zero_states(n.model(n.nodes[-1].outputs[0])) == 0
