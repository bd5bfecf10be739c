"""Whole networks: outputs as ONNX Runtime computes them, and the same file back."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import UsageError
from sardonyx.core.serialize import model_bytes
from sardonyx.passes import CleanupPass
from sardonyx.training.graph import TrainableGraph
from zoo import CASES, ZOO, exported


def by_runtime(model: ir.Model, batch: np.ndarray) -> list[np.ndarray]:
    """The outputs as ONNX Runtime computes them."""
    names = [v.name for v in model.graph.outputs]
    (outputs,) = OrtRunner(threads=1).run(model, [{"x": batch}], names)
    return [outputs[name] for name in names]


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_a_network_is_what_it_was(name: str, exporter: str) -> None:
    model, batch = exported(name, exporter)
    for step in (lambda m: m, lambda m: CleanupPass()(m).model):
        model = step(model)
        graph = TrainableGraph(model).eval()
        with torch.no_grad():
            got = graph(torch.from_numpy(batch))
        np.testing.assert_allclose(got.numpy(), by_runtime(model, batch)[0], rtol=1e-4, atol=1e-4)
        assert model_bytes(graph.write_back()) == model_bytes(model)


def test_a_step_changes_the_weights_and_lowers_the_loss() -> None:
    model, batch = exported("resnet")
    before = model_bytes(model)
    graph = TrainableGraph(model).train()
    images, labels = torch.from_numpy(batch), torch.tensor([1, 2, 3])
    optimizer = torch.optim.SGD(graph.parameters(), lr=0.01)
    first = torch.nn.functional.cross_entropy(graph(images), labels)
    first.backward()
    optimizer.step()
    assert torch.nn.functional.cross_entropy(graph(images), labels) < first
    written = graph.write_back()
    trained = set(graph.initializer_names.values())
    changed = {
        name
        for name, value in model.graph.initializers.items()
        if value.const_value.tobytes() != written.graph.initializers[name].const_value.tobytes()
    }
    assert (
        changed == trained == {n for n, v in model.graph.initializers.items() if v.dtype == ir.DataType.FLOAT}
    )
    assert model_bytes(model) == before
    for name in changed:
        written.graph.initializers[name].const_value = model.graph.initializers[name].const_value
    assert model_bytes(written) == before
    np.testing.assert_allclose(
        by_runtime(graph.write_back(), batch)[0], graph(images).detach().numpy(), atol=1e-4
    )


def test_values_within_are_there_by_name() -> None:
    model, batch = exported("resnet")
    graph = TrainableGraph(model)
    inner = next(node.outputs[0].name for node in model.graph if node.op_type == "Relu")
    values = graph.run([torch.from_numpy(batch)], [inner, model.graph.outputs[0].name])
    assert list(values) == [inner, model.graph.outputs[0].name]
    assert (values[inner] >= 0).all()
    assert values[inner].requires_grad
    with pytest.raises(UsageError, match="no value 'nothing'"):
        graph.run([torch.from_numpy(batch)], ["nothing"])


@pytest.mark.parametrize("name", ZOO)
def test_sizes_stay_in_host_memory(name: str) -> None:
    """On a device without contents nothing can be read back: only what never left the host gives a shape."""
    model, batch = exported(name)
    graph = TrainableGraph(model).to("meta")
    output = graph(torch.from_numpy(batch).to("meta"))
    assert output.device.type == "meta"
    assert list(output.shape) == list(by_runtime(model, batch)[0].shape)
