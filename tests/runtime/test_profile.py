"""Profiles: figures that fit together, nodes that are matched by name, and judgement that noise cannot buy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.core import ModelArtifact
from sardonyx.core.errors import ProviderError, UsageError
from sardonyx.runtime import ProfileOptions, profile, profile_models
from sardonyx.runtime.kernel_times import Kernel, KernelTimes
from sardonyx.runtime.providers import CPU

QUICK = ProfileOptions(batch=2, threads=1, rounds=6)


def test_one_model(stack: Any) -> None:
    report = profile_models({"m": stack(2)}, None, QUICK)
    (model,) = report.models
    assert report.change is None
    assert {n.node for n in model.nodes} == {"product0", "sin0", "product1", "sin1"}
    assert sum(n.time_ratio for n in model.nodes) == pytest.approx(1.0)
    assert sum(o.median_ms for o in model.operators) == pytest.approx(model.kernels_ms)
    assert model.kernels_ms <= 2 * model.run_ms
    assert [n.median_ms for n in model.nodes] == sorted((n.median_ms for n in model.nodes), reverse=True)


def test_work_is_counted_for_the_whole_batch(stack: Any) -> None:
    (model,) = profile_models({"m": stack(2)}, None, QUICK).models
    counted = {n.node: n.macs for n in model.nodes}
    assert counted == {"product0": 2 * 64 * 64, "product1": 2 * 64 * 64, "sin0": None, "sin1": None}


def test_a_fused_node_counts_as_its_layer_and_an_integer_kernel_is_named(quantized: ModelArtifact) -> None:
    (model,) = profile_models({"q": quantized}, None, QUICK).models
    nodes = {n.node: n for n in model.nodes}
    assert nodes["first"].kernels == ("QLinearConv",)
    assert nodes["first"].is_integer
    assert not nodes["second"].is_integer
    assert nodes["first"].macs == 2 * 16 * 6 * 6 * 4 * 9
    conversions = [o for o in model.operators if o.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert model.conversion_ms == pytest.approx(sum(o.median_ms for o in conversions))


def test_what_has_no_partner_is_named(build: Any) -> None:
    def chain(name: str) -> ModelArtifact:
        nodes = [helper.make_node("Sin", ["x"], ["a"], "same"), helper.make_node("Cos", ["a"], ["y"], name)]
        return build(nodes, {"y": ["N", 4]}, {}, ["N", 4])

    change = profile_models({"m": chain("old"), "n": chain("new")}, None, QUICK).change
    assert change is not None
    assert [n.node for n in change.nodes] == ["same"]
    assert (set(change.only_before), set(change.only_after)) == ({"old"}, {"new"})


def timed(model: ModelArtifact, op_type: str, ms: list[float]) -> Any:
    kernels = {Kernel("product0", op_type, CPU): np.array([99.0, *ms])}
    session = SimpleNamespace(
        model=model, provider=CPU, kernel_times=KernelTimes(np.array([99.0, *ms]), kernels)
    )
    return profile._NodeTimes(session)


@pytest.mark.parametrize(
    ("after", "verdict", "not_helped"),
    [([1.0], "faster", 0), ([3.98, 4.02], "no difference", 1), ([8.0], "slower", 1)],
)
def test_integers_that_do_not_help_are_found(
    stack: Any, after: list[float], verdict: str, not_helped: int
) -> None:
    model, steady = stack(1), [3.99, 4.01] * 8
    before, twin = timed(model, "MatMul", steady), timed(model, "MatMul", steady[::-1])
    quick = timed(model, "QGemm", (after * 16)[:16])
    change = profile._change(before, quick, twin, seed=0)
    assert [(n.node, n.verdict, n.became_integer) for n in change.nodes] == [("product0", verdict, True)]
    assert len(change.not_helped) == not_helped


@pytest.mark.parametrize(
    ("names", "options", "cause"),
    [
        ("", QUICK, "0 models"),
        ("abc", QUICK, "3 models"),
        ("a", ProfileOptions(rounds=2), "2 rounds"),
        ("a", ProfileOptions(batch=0), "batch 0"),
    ],
)
def test_what_cannot_be_profiled_is_refused(
    linear: Any, names: str, options: ProfileOptions, cause: str
) -> None:
    with pytest.raises(UsageError, match=cause):
        profile_models({name: linear() for name in names}, None, options)


def test_a_fixed_batch_is_refused_by_name(linear: Any) -> None:
    with pytest.raises(UsageError, match="m takes a batch of 3 only"):
        profile_models({"m": linear(batch=3)}, None, QUICK)


def test_a_provider_that_is_not_there_is_refused(linear: Any) -> None:
    with pytest.raises(ProviderError):
        profile_models({"m": linear()}, None, ProfileOptions(provider="qnn"))
