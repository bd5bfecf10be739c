"""Networks of every well-known shape, through both exporters: what half of every group leaves, and the proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import onnx_ir as ir
import pytest
from sardonyx import CalibrationData
from sardonyx.core.targets import get_target
from sardonyx.passes import CleanupPass
from sardonyx.passes.pruning import PruneOptions, prune
from zoo import CASES, ZOO, exported

APPROXIMATE = 0.30
"""What half of every group leaves of a transformer whose stream may be cut."""
OPTIONS = PruneOptions(ratio=0.5, scope="local", criterion="magnitude", compensate=False, align=1, steps=1)


def cleaned(name: str, exporter: Literal["torchscript", "dynamo"]) -> tuple[ir.Model, CalibrationData]:
    model, samples = exported(name, exporter, samples=16)
    CleanupPass()(model)
    return model, CalibrationData.from_arrays({"x": samples})


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_half_of_every_group_goes_and_the_proof_holds(name: str, exporter: str) -> None:
    model, data = cleaned(name, exporter)
    report = prune(model, data, OPTIONS, target=get_target("cpu-x86")).report
    assert report.proof.largest_difference <= 1e-5
    assert report.after.params / report.before.params <= ZOO[name][1], [
        (s.node, s.text) for s in report.skipped
    ]


@pytest.mark.parametrize("name", ["vit", "bert"])
def test_approximate_cuts_reach_the_stream_of_a_transformer(name: str) -> None:
    model, data = cleaned(name, "torchscript")
    report = prune(model, data, replace(OPTIONS, approximate=True), target=get_target("cpu-x86")).report
    assert report.proof.largest_difference <= 1e-5
    assert report.after.params / report.before.params <= APPROXIMATE, [
        (s.node, s.text) for s in report.skipped
    ]
