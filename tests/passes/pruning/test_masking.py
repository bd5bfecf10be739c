"""The masked original, where one node takes several sums or means."""

from __future__ import annotations

import numpy as np
import pytest
from cuts import chosen, noise, prove, run
from sardonyx.passes.coupling import Kept, analyze
from sardonyx.passes.pruning.masking import masked


@pytest.mark.parametrize("kind", ["ReduceSum", "ReduceMean"])
def test_two_axes_of_one_node_are_both_masked(net, kind):
    n = net(("N", 8))
    left = n.unsqueeze(n.op("Relu", n.op("MatMul", n.x, n.rand(8, 6))), 2)
    right = n.unsqueeze(n.op("Sigmoid", n.op("MatMul", n.x, n.rand(8, 4))), 1)
    total = n.op(kind, n.op("Mul", left, right), n.ints(1, 2), keepdims=0)
    model = n.model(n.op("Tanh", total))
    labels = chosen(model, 0.5, approximate=True)
    assert len(labels) == 5
    assert prove(model, labels, approximate=True).largest_difference <= 1e-5
    coupling = analyze(model, approximate=True)
    assert (
        np.abs(run(masked(model, coupling, Kept(coupling, labels)), noise(model)) - run(model)).max() > 1e-3
    )


def test_only_the_graph_that_was_analysed_can_be_masked(net):
    n = net(("N", 8))
    model = n.model(n.op("MatMul", n.op("Relu", n.op("MatMul", n.x, n.rand(8, 6))), n.rand(6, 3)))
    coupling = analyze(model)
    with pytest.raises(KeyError):
        masked(model.clone(), coupling, Kept(coupling, chosen(model, 0.5)))
