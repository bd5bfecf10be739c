"""What a model holds."""

from __future__ import annotations

import pytest
import sardonyx as sx


def test_the_figures_are_those_of_the_graph(model: sx.ModelArtifact) -> None:
    found = sx.inspect(model)
    assert found.operators["Conv"] == 2
    assert found.size.params == 32 * 3 * 9 + 32 * 32 * 9 + 4 * 32 + 4
    assert found.inputs == ("image: float32 batchx3x8x8",)
    assert found.groups is None


def test_coupling_gives_a_reason_for_each_frozen_group(model: sx.ModelArtifact) -> None:
    found = sx.inspect(model, coupling=True)
    frozen = [group for group in found.groups if group.reason]
    assert [group.neurons for group in found.groups if not group.reason] == [32, 32]
    assert [(group.neurons, group.code) for group in frozen] == [(3, "graph-input"), (4, "graph-output")]
    assert found.cuttable_ratio == pytest.approx(1.0, abs=0.01)


def test_what_is_no_model_is_refused(tmp_path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(sx.ModelError):
        sx.inspect(tmp_path / "model.onnx")
