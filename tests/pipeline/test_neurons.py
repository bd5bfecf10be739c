"""From a graph to neurons, through training, to a real cut."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx import CalibrationData, DataError, ModelArtifact, UsageError, export
from sardonyx.core import ExpectationError
from sardonyx.exporter import InputShape
from sardonyx.pipeline import cut_vanished, find_neurons
from sardonyx.runtime import open_session
from sardonyx.training import Lesson, TrainOptions, train_by
from sardonyx.training.graph import TrainableGraph
from sardonyx.training.losses import supervised
from sardonyx.training.pruning import CubicSchedule, GradualStructural, find_vanished
from torch import nn

SCHEDULE = CubicSchedule(0.5, 0.0, 0.5, 1)


class Residual(nn.Module):
    """A stage of 12 channels that a block of 16 adds to, normalised, and a head over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), nn.BatchNorm2d(12))
        self.block = nn.Sequential(
            nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16), nn.SiLU(), nn.Conv2d(16, 12, 1)
        )
        self.hidden, self.head = nn.Linear(12, 20), nn.Linear(20, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.stem(image))
        tokens = (stem + self.block(stem)).flatten(2).transpose(1, 2)
        return self.head(torch.sigmoid(self.hidden(tokens))).mean(1)


def exported(module: nn.Module) -> ModelArtifact:
    return export(module, inputs={"image": InputShape((2, 3, 8, 8))}).model


@pytest.fixture(scope="module")
def residual() -> tuple[nn.Module, ModelArtifact]:
    """A module whose normalisation does something, and its export."""
    torch.manual_seed(0)
    module = Residual()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module.eval(), exported(module)


def prune_now(module, groups, schedule=SCHEDULE, **words):
    GradualStructural(groups, schedule, **words).after_step(module, 1, 2)


def values(model: ModelArtifact) -> int:
    return sum(v.const_value.size for v in model.load().graph.initializers.values())


def difference(module, model, data):
    images = data.source.read(data.indices)["image"]
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(images)).numpy()
    (found,) = open_session(model).run({"image": images}).values()
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def test_a_graph_is_trained_pruned_and_cut(model, data, tmp_path):
    graph = TrainableGraph(model.load())
    groups = find_neurons(model, graph).groups
    options = TrainOptions(epochs=2, batch_size=16, learning_rate=0.01, precision="fp32")
    hook = GradualStructural(groups, SCHEDULE)
    lesson = Lesson(supervised(), hooks=(hook,), first_epoch=SCHEDULE.first_epoch(2))
    train_by(lesson, graph, data, data, options, checkpoint=tmp_path / "c.safetensors")
    written = ModelArtifact.of(graph.write_back())
    pruned = cut_vanished(written, graph, groups, data)
    assert values(pruned.model) == pytest.approx(0.5 * values(written), rel=0.05)
    assert pruned.report.proof.largest_difference <= 1e-5
    assert difference(graph, pruned.model, data) < 1e-5
    assert [len(v.neurons) for v in find_vanished(graph, groups)] == [
        len(c.cut) for c in pruned.report.cuts.cuts
    ]


@pytest.mark.parametrize("scope", ["global", "local"])
def test_an_exported_module_is_cut_where_it_was_masked(residual, data, scope):
    module, before = residual
    neurons = find_neurons(before, module, data)
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    try:
        prune_now(module, neurons.groups, scope=scope)
        after = exported(module)
        pruned = cut_vanished(after, module, neurons.groups, data)
        assert difference(module, pruned.model, data) < 1e-5
        assert values(pruned.model) < 0.55 * values(before)
    finally:
        module.load_state_dict(kept)


def test_groups_hold_what_makes_and_what_reads_and_the_folded_normalisation(residual, data):
    module, model = residual
    groups = {group.name: group for group in find_neurons(model, module, data).groups}
    inner = {(s.parameter, s.axis, s.role) for s in groups["block.0.weight"].slices}
    assert inner == {
        ("block.0.weight", 0, "normalized"),
        ("block.0.bias", 0, "makes"),
        ("block.1.weight", 0, "makes"),
        ("block.1.bias", 0, "makes"),
        ("block.3.weight", 1, "reads"),
    }
    stage = {(s.parameter, s.axis, s.role) for s in groups["stem.0.weight"].slices}
    assert {
        ("block.0.weight", 1, "reads"),
        ("hidden.weight", 1, "reads"),
        ("block.3.bias", 0, "makes"),
    } <= stage


def test_what_cannot_be_pruned_has_a_reason(residual):
    module, model = residual
    skipped = find_neurons(model, module, exclude=["block.0.weight"]).skipped
    reasons = {skip.node: skip.code for skip in skipped}
    assert reasons["block.0.weight"] == "excluded"
    assert "graph-output" in reasons.values()


def test_neurons_of_a_weight_that_is_not_trained_are_left(model):
    graph = TrainableGraph(model.load(), is_trained=lambda weight: weight.name != "second.weight")
    found = find_neurons(model, graph)
    (group,) = found.groups
    assert [(s.parameter, s.axis, s.role) for s in group.slices] == [("w_head_weight", 1, "reads")]
    assert found.skipped[0].text == "second.weight, which reads these neurons, is no parameter of the module"


def test_a_graph_of_another_module_is_refused(model):
    with pytest.raises(UsageError, match="no neurons of the module can be pruned"):
        find_neurons(model, nn.Linear(3, 4))


def test_an_unknown_group_is_refused(model):
    with pytest.raises(UsageError, match=r"no group 'third\.weight'"):
        find_neurons(model, TrainableGraph(model.load()), exclude=["third.weight"])


def test_a_module_without_zeros_is_refused(model):
    graph = TrainableGraph(model.load())
    with pytest.raises(UsageError, match="no neuron has become zero"):
        cut_vanished(model, graph, find_neurons(model, graph).groups)


def test_a_graph_with_other_weights_is_refused(model, data):
    graph = TrainableGraph(model.load())
    groups = find_neurons(model, graph).groups
    prune_now(graph, groups)
    with pytest.raises(ExpectationError, match="the trained graph and the cut one differ"):
        cut_vanished(model, graph, groups, data)


def test_a_graph_that_lets_fewer_go_is_refused(model):
    graph = TrainableGraph(model.load())
    groups = find_neurons(model, graph).groups
    prune_now(graph, groups)
    shown = graph.write_back()
    shown.graph.outputs.append(next(n for n in shown.graph if n.name == "second").outputs[0])
    shown.graph.outputs[-1].name = "inner"
    shown.graph.outputs[-1].type = ir.TensorType(ir.DataType.FLOAT)
    with pytest.raises(UsageError, match="the graph lets"):
        cut_vanished(ModelArtifact.of(shown), graph, groups)


def test_samples_are_made_up_where_there_are_none(model):
    graph = TrainableGraph(model.load())
    groups = find_neurons(model, graph).groups
    prune_now(graph, groups)
    assert cut_vanished(ModelArtifact.of(graph.write_back()), graph, groups).report.proof.samples == 16


def test_samples_of_another_shape_are_refused(model):
    graph = TrainableGraph(model.load())
    groups = find_neurons(model, graph).groups
    prune_now(graph, groups)
    other = CalibrationData.from_arrays({"image": np.zeros((2, 1, 8, 8), np.float32)})
    with pytest.raises(DataError, match="image"):
        cut_vanished(ModelArtifact.of(graph.write_back()), graph, groups, other)
