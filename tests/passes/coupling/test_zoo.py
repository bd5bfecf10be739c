"""Networks of every well-known shape, through both exporters: what half of every group leaves, and the proof."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sardonyx import CalibrationData, InputShape
from sardonyx.core.targets import get_target
from sardonyx.exporter import ExportOptions, export_model
from sardonyx.passes import CleanupPass
from sardonyx.passes.pruning import PruneOptions, prune
from zoo import SHAPE, TEXT, TOKENS, VOCABULARY, ZOO

APPROXIMATE = 0.30
"""What half of every group leaves of a transformer whose stream may be cut."""
OPTIONS = PruneOptions(ratio=0.5, scope="local", criterion="magnitude", compensate=False, align=1, steps=1)
QUICK = {("resnet", "dynamo"), ("vit", "dynamo")}
"""The exporter of dynamo takes seconds: two networks stand for all, and `make test-slow` does the rest."""

CASES = [
    pytest.param(
        name,
        exporter,
        marks=[] if exporter == "torchscript" or (name, exporter) in QUICK else pytest.mark.slow,
    )
    for exporter in ("torchscript", "dynamo")
    for name in ZOO
]


def exported(name: str, exporter: str) -> tuple[object, CalibrationData]:
    torch.manual_seed(0)
    module = ZOO[name][0]().eval()
    random = np.random.default_rng(0)
    if name in TEXT:
        shape, samples = (
            InputShape((2, TOKENS), "int64", VOCABULARY),
            random.integers(0, VOCABULARY, (16, TOKENS)),
        )
    else:
        shape, samples = InputShape((2, *SHAPE)), random.standard_normal((16, *SHAPE)).astype(np.float32)
    result = export_model(module, ExportOptions({"x": shape}, exporters=(exporter,)))
    model = result.artifact.load()
    CleanupPass()(model)
    return model, CalibrationData.from_arrays({"x": samples})


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_half_of_every_group_goes_and_the_proof_holds(name: str, exporter: str) -> None:
    model, data = exported(name, exporter)
    report = prune(model, data, OPTIONS, target=get_target("cpu-x86")).report
    assert report.proof.largest_difference <= 1e-5
    assert report.after.params / report.before.params <= ZOO[name][1], [
        (s.node, s.text) for s in report.skipped
    ]


@pytest.mark.parametrize("name", ["vit", "bert"])
def test_approximate_cuts_reach_the_stream_of_a_transformer(name: str) -> None:
    model, data = exported(name, "torchscript")
    report = prune(model, data, replace(OPTIONS, approximate=True), target=get_target("cpu-x86")).report
    assert report.proof.largest_difference <= 1e-5
    assert report.after.params / report.before.params <= APPROXIMATE, [
        (s.node, s.text) for s in report.skipped
    ]
