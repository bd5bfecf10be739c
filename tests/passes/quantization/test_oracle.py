"""Scales and zero-points beside onnxruntime.quantization's: equal, or different for a reason that is checked."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quantization_graphs import Graph, drawn_graphs, made_graphs, operator_graphs, zoo_graph
from quantize_static_oracle import (
    DIFFERENCES,
    OURS,
    PER_CHANNEL,
    SYMMETRIC,
    Setting,
    bias_of_another_shape,
    channels_in_groups,
    compare,
    same,
)

DRAWN = 30
NETWORKS = ("resnet", "mobilenet", "shufflenet", "vit")

EVERYWHERE = {"moved", "selected", "softmax", "always_zero", "bias"}
SETTINGS = {
    "uint8, per channel": Setting(
        OURS, PER_CHANNEL, frozenset(EVERYWHERE | {"stacked", "empty_channel", "large_bias"})
    ),
    "symmetric int8": Setting(
        replace(OURS, per_channel=False, activation_type="int8", symmetric=True),
        SYMMETRIC,
        frozenset(EVERYWHERE | {"factor"}),
    ),
}
REDUCED = Setting(
    replace(OURS, reduce_range=True),
    {**PER_CHANNEL, "reduce_range": True},
    frozenset({"seven_bits", "eight_bits", "bias"}),
)


@pytest.fixture(autouse=True)
def _quiet():
    """Theirs warns of what it does not need here."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def reasons(graphs: Iterable[Graph], setting: Setting, folder: Path) -> tuple[int, Counter[str], list[str]]:
    """How many graphs were compared, how often each reason held ('' for equal), and what none holds for."""
    count, found, unexplained = 0, Counter(), []
    for graph in graphs:
        if setting.options.per_channel and bias_of_another_shape(graph.model):
            with pytest.raises((ValueError, IndexError)):
                compare(graph, setting, folder)
            continue
        if setting.options.per_channel and channels_in_groups(graph.model):
            continue
        both = compare(graph, setting, folder)
        names = set(both.ours) & set(both.theirs)
        count += bool(names)
        for name in names:
            if same(both.ours[name], both.theirs[name]):
                found[""] += 1
            else:
                held = [reason for reason, holds in DIFFERENCES.items() if holds(both, name)]
                found.update(held)
                unexplained += (
                    [] if held else [f"{graph.name}: {name}: {both.ours[name]} {both.theirs[name]}"]
                )
    return count, found, unexplained


@pytest.mark.parametrize(
    "name", ["uint8, per channel", pytest.param("symmetric int8", marks=pytest.mark.slow)]
)
def test_what_both_quantize_has_equal_parameters_or_a_reason(name, tmp_path):
    setting = SETTINGS[name]
    graphs = [*operator_graphs(), *drawn_graphs(DRAWN), *made_graphs(), *map(zoo_graph, NETWORKS)]
    count, found, unexplained = reasons(graphs, setting, tmp_path)
    assert unexplained == []
    assert count >= 200
    assert set(found) - {""} == setting.differences
    assert found[""] > 0.9 * found.total()


def test_seven_bits_have_equal_parameters_or_a_reason(tmp_path):
    _, found, unexplained = reasons(drawn_graphs(20), REDUCED, tmp_path)
    assert unexplained == []
    assert set(found) >= REDUCED.differences


@pytest.mark.parametrize("name", SETTINGS)
def test_no_reason_holds_for_a_wrong_scale(name, tmp_path):
    both = compare(zoo_graph("shufflenet"), SETTINGS[name], tmp_path)
    for tensor in set(both.ours) & set(both.theirs):
        wrong = replace(both.ours[tensor], scale=both.ours[tensor].scale * np.float32(1.01))
        spoilt = replace(both, ours={**both.ours, tensor: wrong})
        assert not same(wrong, both.theirs[tensor])
        assert [reason for reason, holds in DIFFERENCES.items() if holds(spoilt, tensor)] == []


def test_the_page_lists_every_difference():
    page = (Path(__file__).parents[3] / "docs" / "quantization_differences.md").read_text(encoding="utf8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(DIFFERENCES)
