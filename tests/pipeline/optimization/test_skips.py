"""Skipping branches in a search: the weakest first, and cuts that begin where it is gone."""

from __future__ import annotations

import pytest
import sardonyx as sx
from sardonyx.core.errors import ExpectationError
from sardonyx.passes.pruning import find_branches
from sardonyx.pipeline import Silent
from sardonyx.pipeline.optimization.skips import SKIPS, SkipPath


def _path(model: sx.ModelArtifact, data: sx.CalibrationData, exclude: tuple[str, ...] = ()) -> SkipPath:
    return SkipPath(SKIPS, model, data, Silent(), exclude, 0)


def test_the_weakest_branch_goes_first_and_is_named(residual, samples):
    weak = find_branches(residual.load())[1]
    path = _path(residual, samples)
    model, figures = path.cut(1)
    assert path.depth == 2
    assert [change["node"] for change in figures["skip"]["applied"]] == [weak.name]
    assert not {node.name for node in model.load().graph}.intersection(weak.nodes)


def test_a_branch_with_an_excluded_node_is_not_skipped(residual, samples):
    assert _path(residual, samples, exclude=("n*",)).depth == 0


@pytest.mark.parametrize("depth", [3, 9])
def test_more_branches_than_there_are_cannot_be_skipped(residual, samples, depth):
    with pytest.raises(ExpectationError, match="2 residual branches"):
        _path(residual, samples).cut(depth)
