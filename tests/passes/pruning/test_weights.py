"""Pruning of single weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune

TARGET = get_target("cpu-x86")
PLAIN = {"criterion": "magnitude", "compensate": False}
CRITERIA = ["magnitude", "wanda", "second-order"]


@pytest.fixture
def model(net):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    depthwise = n.relu(n.conv(a, 8, group=8))
    return n.model(n.head(n.relu(n.conv(depthwise, 16))))


def weights(model):
    values = model.graph.initializers.values()
    return {v.name: v.const_value.numpy() for v in values if len(v.const_value.shape) > 1}


def thinned(model, data=None, **options):
    return prune(model, data, PruneOptions(**{"ratio": 0.5, **options}), target=TARGET)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_the_share_of_zeros_is_exact_and_the_smallest_go(model, scope):
    outcome = thinned(model, granularity="unstructured", scope=scope, **PLAIN)
    after, before = weights(outcome.model), weights(model)
    zeros = sum(int((w == 0).sum()) for w in after.values())
    assert zeros == pytest.approx(0.5 * sum(w.size for w in after.values()), abs=16)
    for name in ("w0", "w4"):
        a, b = after[name], before[name]
        if scope == "local":
            assert np.abs(b[a == 0]).max() <= np.abs(b[a != 0]).min()


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("compensate", [True, False])
@pytest.mark.parametrize("granularity", ["unstructured", "2:4", "block:4x2"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_zeros_stand_in_the_pattern(model, samples, criterion, compensate, granularity, scope):
    options = {"criterion": criterion, "compensate": compensate, "scope": scope, "granularity": granularity}
    outcome = thinned(model, samples(3, 8, 8), **options)
    w = np.moveaxis(weights(outcome.model)["w4"], 1, -1).reshape(16, -1)  # channels last: (outputs, taps * 8)
    if granularity == "2:4":
        assert ((w.reshape(16, -1, 4) != 0).sum(-1) == 2).all()
    if granularity == "block:4x2":
        tiles = (w.reshape(4, 4, -1, 2) != 0).sum((1, 3))
        assert set(np.unique(tiles)) <= {0, 8}
    assert outcome.report.details["sparsity"] == pytest.approx(0.5, abs=0.02)


def error(outputs, model, other, data):
    return float(((outputs(model, data)[0] - outputs(other, data)[0]) ** 2).mean())


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("granularity", ["unstructured", "2:4"])
def test_what_stays_takes_over(model, samples, outputs, criterion, granularity):
    data, fresh = samples(3, 8, 8), samples(3, 8, 8, seed=2)
    errors = [
        error(
            outputs,
            model,
            thinned(
                model, data, criterion=criterion, compensate=c, granularity=granularity, scope="local"
            ).model,
            fresh,
        )
        for c in (True, False)
    ]
    assert errors[0] < errors[1]


def test_the_second_order_beats_magnitude(model, samples, outputs):
    data, fresh = samples(3, 8, 8), samples(3, 8, 8, seed=2)
    errors = [
        error(outputs, model, thinned(model, data, granularity="unstructured", **kind).model, fresh)
        for kind in ({"criterion": "second-order"}, PLAIN)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_a_repeated_input_costs_nothing_to_zero(net, samples, outputs):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 8)), 8))))
    for name in ("w0", "w1"):
        array = np.array(model.graph.initializers[name].const_value.numpy())
        array[4:] = array[:4]
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    data = samples(3, 8, 8)
    cut = thinned(model, data, granularity="unstructured", scope="local", exclude=("w0", "w4")).model
    assert error(outputs, model, cut, data) <= 1e-4 * float((outputs(model, data)[0] ** 2).mean())


def test_the_report_promises_no_speed_and_states_the_compressed_size(model):
    details = thinned(model, granularity="unstructured", **PLAIN).report.details
    assert details["sparsity"] == pytest.approx(0.5, abs=0.02)
    assert "do not run faster" in details["note"]
    assert details["compressed_bytes_after"] < 0.7 * details["compressed_bytes_before"]


def test_what_does_not_fit_the_pattern_stays_dense_with_its_reason(model):
    outcome = thinned(model, granularity="2:4", **PLAIN)
    assert {s.node for s in outcome.report.skipped if s.code == "uneven"} >= {"w0", "w2"}
    assert np.all(weights(outcome.model)["w0"] == weights(model)["w0"])


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"criterion": "random"}, "not chosen by random"),
        ({"criterion": "wanda", "compensate": False}, "need samples"),
        ({"criterion": "magnitude"}, "need samples"),
        ({"granularity": "4:2"}, "unknown granularity"),
        ({"granularity": "block:0x4"}, "unknown granularity"),
        ({"ratio": None, "macs": 0.5}, "no budget in macs"),
    ],
)
def test_what_cannot_be_is_refused(model, options, cause):
    with pytest.raises(UsageError, match=cause):
        thinned(model, **{"granularity": "2:4", **options})
