"""Exports that pass, fall back, or are refused."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import ExpectationError, ModelError, UsageError
from sardonyx.exporter import ExportOptions, InputShape, attempts, export_model
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(4, 3)

    def forward(self, image):
        return self.head(self.body(image).mean((2, 3)))


class Branch(nn.Module):
    """Control flow over values: what torch.export refuses, and a trace follows once."""

    def forward(self, x):
        return torch.relu(x) if x.sum() > -1e9 else x


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(3, 4)

    def forward(self, ids, mask):
        return {"embedded": self.table(ids) * mask[..., None], "count": mask.sum(1)}


IMAGE = ExportOptions({"image": InputShape((1, 1, 6, 6))})
TRACED = replace(IMAGE, exporters=("torchscript",))


@pytest.fixture(scope="module")
def result():
    return export_model(Net(), IMAGE)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_each_exporter_passes(exporter) -> None:
    result = export_model(Net(), ExportOptions(IMAGE.inputs, exporters=(exporter,), output_names=("logits",)))
    assert result.report.exporter == exporter
    assert [str(s) for s in result.artifact.inputs] == ["image: float32 batchx1x6x6"]
    assert [str(s) for s in result.artifact.outputs] == ["logits: float32 batchx3"]


def test_every_case_is_reported(result) -> None:
    assert {row.case for row in result.report.parity} == {
        f"{kind}, batch {size}" for kind in ("normal", "zeros", "extreme") for size in (1, 2, 5)
    }
    assert 0.0 <= result.report.required_factor <= 1.0
    assert (result.report.fallbacks, result.report.notes, result.report.opset) == ((), (), 20)


def test_no_path_of_this_machine_is_left(result) -> None:
    places = {
        Path(__file__),
        Path(__file__).parents[2],
        Path.home(),
        Path(tempfile.gettempdir()),
        Path(sys.prefix),
    }
    found = [str(p) for p in places if str(p).encode() in result.artifact.content]
    assert found == []
    assert b".py" not in result.artifact.content


def test_traces_in_metadata_are_removed(result) -> None:
    with attempts.quiet():
        raw = torch.onnx.export(Net().eval(), (torch.ones(2, 1, 6, 6),), dynamo=True, verbose=False).model
    assert ".py" in str([dict(n.metadata_props) for n in raw.graph])
    model = result.artifact.load()
    assert not model.metadata_props
    assert not any(n.metadata_props or n.doc_string for n in model.graph)


def test_each_part_keeps_its_mode() -> None:
    module = Net().train()
    module.head.eval()
    export_model(module, TRACED)
    assert (module.training, module.body[3].training, module.head.training) == (True, True, False)


def test_nothing_is_printed(capfd) -> None:
    export_model(Net(), IMAGE)
    export_model(Net(), TRACED)
    assert capfd.readouterr().out == ""


def test_integers_several_inputs_and_a_dictionary() -> None:
    inputs = {"mask": InputShape((1, 5)), "ids": InputShape((1, 5), "int64", high=3)}
    axes = {name: {0: "batch", 1: "time"} for name in inputs}
    result = export_model(Tokens(), ExportOptions(inputs, dynamic=axes))
    assert [s.name for s in result.artifact.inputs] == ["ids", "mask"]
    assert [str(s) for s in result.artifact.outputs] == [
        "embedded: float32 batchxtimex4",
        "count: float32 batch",
    ]


def test_a_fixed_batch_stays_fixed() -> None:
    result = export_model(Net(), replace(TRACED, dynamic={}))
    assert result.artifact.inputs[0].shape == (1, 1, 6, 6)


def test_an_exporter_that_fails_is_followed_by_the_next() -> None:
    report = export_model(Branch(), ExportOptions({"x": InputShape((1, 4))})).report
    assert (report.exporter, [a.exporter for a in report.fallbacks]) == ("torchscript", ["dynamo"])
    assert report.fallbacks[0].reason
    assert any("trace might not generalize" in line for line in report.attempts[1].warnings)


def _spoiled(request: attempts.Request) -> ir.Model:
    """An exporter that gets one bias wrong."""
    model = attempts.with_torchscript(request)
    bias = next(v for name, v in model.graph.initializers.items() if name.endswith("head.bias"))
    bias.const_value = ir.Tensor(bias.const_value.numpy() + np.float32(0.01), name=bias.name)
    return model


def test_an_export_that_differs_is_followed_by_the_next(monkeypatch) -> None:
    monkeypatch.setitem(attempts.TABLE, "dynamo", _spoiled)
    report = export_model(Net(), IMAGE).report
    assert report.exporter == "torchscript"
    assert "output differs on" in report.fallbacks[0].reason
    assert max(row.max_difference for row in report.fallbacks[0].parity) == pytest.approx(0.01, rel=0.1)


def test_no_exporter_passes(monkeypatch) -> None:
    monkeypatch.setitem(attempts.TABLE, "dynamo", _spoiled)
    monkeypatch.setitem(attempts.TABLE, "torchscript", _spoiled)
    with pytest.raises(
        ExpectationError, match=r"dynamo: output differs .* torchscript: output differs"
    ) as caught:
        export_model(Net(), IMAGE)
    assert caught.value.exit_code == 1


def test_a_tolerance_that_is_stated_is_used(monkeypatch) -> None:
    monkeypatch.setitem(attempts.TABLE, "dynamo", _spoiled)
    report = export_model(Net(), ExportOptions(IMAGE.inputs, atol=0.02, exporters=("dynamo",))).report
    assert 0.4 < report.required_factor <= 1.0


def test_a_batch_that_was_baked_in_is_refused() -> None:
    class Baked(nn.Module):
        def forward(self, x):
            return x.reshape(int(x.shape[0]), -1) + torch.zeros(len(x.tolist()), 1)

    options = ExportOptions({"x": InputShape((1, 4))}, exporters=("torchscript",))
    with pytest.raises(ExpectationError, match="torchscript"):
        export_model(Baked(), options)


@pytest.mark.parametrize("exported_with", [IMAGE, TRACED])
def test_the_model_does_not_change_with_the_module(exported_with) -> None:
    module, feed = Net().eval(), {"image": np.ones((1, 1, 6, 6), np.float32)}
    artifact = export_model(module, exported_with).artifact
    (before,) = OrtRunner().run(artifact.load(), [feed], ["output"])
    with torch.no_grad():
        module.head.weight.zero_()
    (after,) = OrtRunner().run(artifact.load(), [feed], ["output"])
    assert np.array_equal(before["output"], after["output"])


class Constant(nn.Module):
    def forward(self, x):
        return x * 0.0 + 1.0


def test_what_parity_cannot_show_is_noted() -> None:
    report = export_model(Constant(), ExportOptions({"x": InputShape((1, 4))})).report
    assert report.notes == ("output is the same for every input: parity shows little",)


class Nowhere(nn.Module):
    def forward(self, x):
        return x / 0.0 * 0.0


@pytest.mark.parametrize(
    ("module", "shape", "error", "cause"),
    [
        (Net(), (1, 2, 6, 6), ModelError, "fails on normal, batch 1"),
        (Nowhere(), (1, 4), ModelError, "NaN throughout"),
    ],
)
def test_a_module_that_cannot_be_compared(module, shape, error, cause) -> None:
    with pytest.raises(error, match=cause):
        export_model(module, ExportOptions({"x": InputShape(shape)}))


@pytest.mark.parametrize("names", [("a", "b"), ()])
def test_output_names_must_fit(names) -> None:
    options = ExportOptions(
        {"ids": InputShape((1, 2), "int64"), "mask": InputShape((1, 2))}, output_names=(*names, "c")
    )
    with pytest.raises(UsageError, match="output names for 2 outputs"):
        export_model(Tokens(), options)
