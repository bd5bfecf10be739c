"""Pruning of single weights."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune

TARGET = get_target("cpu-x86")


@pytest.fixture
def model(net):
    n = net()
    return n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 8)), 16))))


def weights(model):
    values = model.graph.initializers.values()
    return [v.const_value.numpy() for v in values if len(v.const_value.shape) > 1]


@pytest.mark.parametrize("scope", ["global", "local"])
def test_the_share_of_zeros_is_exact_and_the_smallest_go(model, scope):
    options = PruneOptions(ratio=0.5, granularity="unstructured", scope=scope)
    outcome = prune(model, None, options, target=TARGET)
    after, before = weights(outcome.model), weights(model)
    zeros = sum(int((w == 0).sum()) for w in after)
    assert zeros == pytest.approx(0.5 * sum(w.size for w in after), abs=3)
    for a, b in zip(after, before, strict=True):
        if scope == "local":
            assert np.abs(b[a == 0]).max() <= np.abs(b[a != 0]).min()


def test_n_of_m_keeps_the_largest_of_every_block(model):
    outcome = prune(model, None, PruneOptions(ratio=0.5, granularity="2:4"), target=TARGET)
    second = outcome.model.graph.initializers["w2"].const_value.numpy()
    blocks = np.moveaxis(second, 1, -1).reshape(-1, 4)
    assert ((blocks != 0).sum(1) == 2).all()
    assert outcome.report.skipped[0].code == "uneven"


def test_the_report_promises_no_speed(model):
    report = prune(model, None, PruneOptions(ratio=0.5, granularity="unstructured"), target=TARGET).report
    assert report.details["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert "do not run faster" in report.details["note"]


def test_other_criteria_are_refused(model):
    with pytest.raises(UsageError, match="magnitude"):
        prune(model, None, PruneOptions(ratio=0.5, granularity="2:4", criterion="random"), target=TARGET)
