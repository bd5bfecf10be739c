"""Skipping branches with a fit: what repeats others costs nothing, and the order says so."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import (
    PruneOptions,
    SkipBranchesPass,
    find_branches,
    prune,
    rank_branches,
    skip_branches,
)


@pytest.fixture
def residual(net):
    """Two blocks, of which the first adds next to nothing."""
    n = net()
    stem = n.relu(n.conv(n.x, 16))
    first = n.relu(n.add(stem, n.conv(n.relu(n.conv(stem, 16)), 16)))
    second = n.add(first, n.conv(n.relu(n.conv(first, 16)), 16))
    model = n.model(n.head(n.relu(second)))
    weak = next(node for node in model.graph if node.name == find_branches(model)[0].nodes[-1])
    value = weak.inputs[1]
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1e-3), name=value.name)
    return model


def test_what_adds_least_is_ranked_first(residual, samples):
    weak, strong = find_branches(residual)
    costs = {node.name: 1.0 for node in residual.graph}
    ranked = rank_branches(residual, samples(3, 8, 8), costs)
    assert [price.branch for price in ranked] == [weak, strong]
    assert ranked[0].error < 0.1 * ranked[1].error
    assert ranked[0].saved == len(weak.nodes)


def test_what_saves_nothing_comes_last(residual, samples):
    weak, strong = find_branches(residual)
    ranked = rank_branches(residual, samples(3, 8, 8), dict.fromkeys(strong.nodes, 1.0))
    assert [price.branch for price in ranked] == [strong, weak]


def test_a_branch_with_an_excluded_node_stays(residual, samples):
    weak, strong = find_branches(residual)
    ranked = rank_branches(residual, samples(3, 8, 8), {}, exclude=[weak.nodes[0]])
    assert [price.branch for price in ranked] == [strong]


def test_the_fit_brings_the_outputs_back(residual, samples, outputs):
    data = samples(3, 8, 8)
    (wanted,) = outputs(residual, data)
    strong = find_branches(residual)[1].name
    bare, fitted = residual.clone(), residual.clone()
    step = SkipBranchesPass([strong], data)
    step(fitted)
    skip_branches(bare, [strong])
    errors = [float(((outputs(m, data)[0] - wanted) ** 2).mean()) for m in (bare, fitted)]
    assert errors[1] < 0.5 * errors[0]
    assert [change.node for change in step.report.applied] == [strong]
    assert step.report.after.params < step.report.before.params


def test_cuts_behind_a_skip_aim_at_the_original(residual, samples, outputs):
    data = samples(3, 8, 8)
    (wanted,) = outputs(residual, data)
    skipped = residual.clone()
    SkipBranchesPass([find_branches(residual)[1].name], data)(skipped)
    options = PruneOptions(params=0.8, align=1, steps=1)
    plain, aimed = (
        prune(skipped, data, options, target=get_target("cpu-x86"), wanted=other).model
        for other in (None, residual)
    )
    errors = [float(((outputs(m, data)[0] - wanted) ** 2).mean()) for m in (plain, aimed)]
    assert errors[1] <= errors[0]


def test_an_unknown_branch_is_refused(residual, samples):
    with pytest.raises(UsageError, match="no residual branch"):
        SkipBranchesPass(["nowhere"], samples(3, 8, 8))(residual)
