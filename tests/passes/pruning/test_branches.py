"""Residual branches: which there are, and what skipping them leaves."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.passes.pruning import find_branches, skip_branches


@pytest.fixture
def residual(net):
    """Two blocks behind a stem, the second of one layer only."""
    n = net()
    stem = n.relu(n.conv(n.x, 16))
    first = n.relu(n.add(stem, n.conv(n.relu(n.conv(stem, 8)), 16)))
    return n.model(n.head(n.relu(n.add(n.conv(first, 16), first))))


def _kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_a_branch_is_all_that_only_the_sum_needs(residual):
    first, second = find_branches(residual)
    kinds = {node.name: node.op_type for node in residual.graph}
    assert [kinds[name] for name in first.nodes] == ["Conv", "Relu", "Conv"]
    assert [kinds[name] for name in second.nodes] == ["Conv"]


def test_a_skipped_branch_is_gone_with_its_weights(residual, samples, outputs):
    first, second = find_branches(residual)
    before = len(residual.graph.initializers)
    skip_branches(residual, [first.name, second.name])
    assert _kinds(residual).count("Conv") == 1
    # Of a Relu behind a Relu one is left.
    assert _kinds(residual).count("Relu") == 1
    assert "Add" not in _kinds(residual)
    assert len(residual.graph.initializers) == before - 6
    assert np.isfinite(outputs(residual, samples(3, 8, 8))).all()


def test_skipping_is_a_branch_that_gives_nothing(residual, samples, outputs):
    muted, name = residual.clone(), find_branches(residual)[0].name
    last = next(n for n in muted.graph if n.name == find_branches(muted)[0].nodes[-1])
    for value in last.inputs[1:]:
        value.const_value = ir.tensor(np.zeros(value.const_value.shape.numpy(), np.float32), name=value.name)
    skip_branches(residual, [name])
    data = samples(3, 8, 8)
    np.testing.assert_allclose(outputs(residual, data), outputs(muted, data), atol=1e-6)


def test_a_sum_of_two_layers_is_no_branch(net):
    n = net()
    stem = n.relu(n.conv(n.x, 16))
    model = n.model(n.head(n.add(n.conv(stem, 16), n.conv(stem, 16))))
    assert find_branches(model) == ()


def test_a_branch_whose_inside_is_read_elsewhere_is_none(net):
    n = net()
    stem = n.relu(n.conv(n.x, 16))
    inner = n.relu(n.conv(stem, 8))
    total = n.add(stem, n.conv(inner, 16))
    model = n.model(n.head(n.add(n.conv(total, 16), n.conv(inner, 16))))
    assert find_branches(model) == ()


def test_a_sum_that_spreads_a_smaller_value_is_no_branch(net):
    n = net()
    stem = n.relu(n.conv(n.x, 16))
    pooled = n.act("GlobalAveragePool", stem)
    model = n.model(n.head(n.add(stem, n.conv(pooled, 16, k=1))))
    assert find_branches(model) == ()


@pytest.mark.parametrize("name", ["", "no such value"])
def test_what_is_no_branch_is_refused_with_those_there_are(residual, name):
    with pytest.raises(UsageError, match="no residual branch") as error:
        skip_branches(residual, [name])
    assert find_branches(residual)[0].name in error.value.remedy
