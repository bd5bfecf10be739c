"""Every round of a pruning is a cut of its own."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.core.targets import get_target
from sardonyx.passes.base import validate
from sardonyx.passes.pruning import PruneOptions, prune

TARGET = get_target("cpu-x86")
OPTIONS = PruneOptions(params=0.3, align=1, steps=4)


@pytest.fixture
def model(net):
    n = net()
    a = n.relu(n.conv(n.x, 16))
    return n.model(n.head(n.relu(n.add(a, n.conv(n.relu(n.conv(a, 24)), 16)))))


def walk(model, data, options=OPTIONS):
    found = []
    return prune(model, data, options, target=TARGET, visit=found.append), found


def test_waypoints_are_cut_ever_deeper(model, samples):
    _, found = walk(model, samples(3, 8, 8))
    assert [w.number for w in found] == [1, 2, 3, 4]
    left = [w.left for w in found]
    assert left == sorted(left, reverse=True)
    assert left[-1] <= 0.3 < left[0]


def test_the_last_one_finished_is_what_pruning_gives(model, samples, outputs):
    data = samples(3, 8, 8)
    outcome, found = walk(model, data)
    last, report = found[-1].finish()
    np.testing.assert_array_equal(outputs(last, data)[0], outputs(outcome.model, data)[0])
    assert report.after == outcome.report.after
    assert report.plan == outcome.report.plan
    assert report.cuts == outcome.report.cuts
    assert len(report.corrections) == len(outcome.report.corrections) > 0


def test_one_finished_afterwards_is_as_one_finished_on_the_way(model, samples, outputs):
    data, at_once = samples(3, 8, 8), []
    prune(model, data, OPTIONS, target=TARGET, visit=lambda w: at_once.append(w.finish()))
    _, found = walk(model, data)
    for (early, early_report), waypoint in zip(at_once, found, strict=True):
        late, late_report = waypoint.finish()
        validate(late)
        np.testing.assert_array_equal(outputs(early, data)[0], outputs(late, data)[0])
        assert early_report.plan == late_report.plan
        assert len(late_report.rounds) == waypoint.number


def test_going_on_changes_no_earlier_waypoint(model, samples, outputs):
    data, found, then = samples(3, 8, 8), [], []

    def visit(waypoint):
        found.append(waypoint)
        then.append(outputs(waypoint.model, data)[0])

    prune(model, data, OPTIONS, target=TARGET, visit=visit)
    for before, waypoint in zip(then, found, strict=True):
        np.testing.assert_array_equal(before, outputs(waypoint.model, data)[0])


def test_looking_on_changes_nothing(model, samples, outputs):
    data = samples(3, 8, 8)
    seen, _ = walk(model, data)
    unseen = prune(model, data, OPTIONS, target=TARGET)
    np.testing.assert_array_equal(outputs(seen.model, data)[0], outputs(unseen.model, data)[0])


def test_what_a_visitor_raises_ends_the_pruning(model, samples):
    def stop(waypoint):
        raise KeyError(waypoint.number)

    with pytest.raises(KeyError, match="1"):
        prune(model, samples(3, 8, 8), OPTIONS, target=TARGET, visit=stop)
