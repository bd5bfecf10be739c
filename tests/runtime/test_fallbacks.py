"""Placement with reasons, and a CPU that stands in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper
from sardonyx.core.errors import ProviderError
from sardonyx.runtime import explain_placement, fallbacks, sessions
from sardonyx.runtime.fallbacks import NO_REASON
from sardonyx.runtime.placement import NodeTime, place
from sardonyx.runtime.providers import CPU, Choice

CUDA = "CUDAExecutionProvider"


def test_on_the_cpu_everything_runs_where_it_should(linear: Any) -> None:
    found = explain_placement(linear(), batch=2)
    (share,) = found.placement.shares
    assert (share.provider, share.nodes, share.kernels, share.time_ratio) == (CPU, 2, 2, 1.0)
    assert found.fallbacks == ()


def test_nodes_elsewhere_have_the_logged_reason_or_say_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = [NodeTime(n, "Det", CPU, 10.0, 1, 10.0) for n in ("a", "b")]
    placement = place(CUDA, [*kernels, NodeTime("c", "Conv", CUDA, 5.0, 1, 5.0)])
    session = SimpleNamespace(
        choice=Choice(CUDA), placement=placement, model=None, provider=CUDA, notes=[], run=lambda feed: None
    )
    line = "CUDA kernel not found in registries for Op type: Det node name: a"
    monkeypatch.setattr(fallbacks, "open_session", lambda *_, **__: session)
    monkeypatch.setattr(fallbacks, "feed_of", lambda *_, **__: {})
    monkeypatch.setattr(fallbacks, "log_of_opening", lambda *_: [line])
    found = explain_placement(None, provider="cuda")  # type: ignore[arg-type]
    reasons = {f.node: f.reason for f in found.fallbacks}
    assert reasons == {"a": "cuda has no kernel of Det for these types", "b": NO_REASON}


def test_a_cpu_that_stands_in_is_counted_as_nothing_placed(linear: Any) -> None:
    if CUDA in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    found = explain_placement(linear(), provider="cuda", allow_fallback=True)
    assert found.placement.requested == CUDA
    assert found.placement.requested_ratio == 0.0
    assert {f.node for f in found.fallbacks} == {"sum", "product"}
    assert all("CUDAExecutionProvider was asked for" in f.reason for f in found.fallbacks)


def test_without_leave_to_fall_back_there_is_no_placement(linear: Any) -> None:
    if CUDA in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.raises(ProviderError, match="was asked for"):
        explain_placement(linear(), provider="cuda")


def test_a_second_provider_that_is_here_runs_what_it_says(build: Any) -> None:
    if "OpenVINOExecutionProvider" not in ort.get_available_providers():
        pytest.skip("onnxruntime-openvino is not installed")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Unique", ["a"], ["u"], "unique"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w"], ["y"], "last"),
    ]
    model = build(nodes, {"y": ["N", 4], "u": ["M"]}, {"w": np.eye(4, dtype=np.float32)}, ["N", 4])
    found = explain_placement(model, provider="openvino")
    assert [(s.nodes, s.kernels) for s in found.placement.shares] == [(3, 1), (1, 1)]
    assert [(f.node, f.provider, f.reason) for f in found.fallbacks] == [("unique", CPU, NO_REASON)]


class _WithoutDriver:
    """ONNX Runtime as it is with onnxruntime-gpu and no driver: it holds CUDA, and opens on the CPU all the same."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ort, name)

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, source: Any, options: Any, **keywords: Any) -> Any:
        assert keywords["providers"][0][0] == CUDA
        return ort.InferenceSession(source, options, providers=[CPU])


@pytest.fixture
def without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "load_onnxruntime", _WithoutDriver)
    monkeypatch.setattr("sardonyx.runtime.providers.load_onnxruntime", _WithoutDriver)
    monkeypatch.setattr(
        sessions, "log_of_opening", lambda *_: ["Failed to load library x with error: no libcuda"]
    )


@pytest.mark.usefixtures("without_driver")
def test_a_silent_fallback_to_the_cpu_is_an_error_with_its_reason(linear: Any) -> None:
    with pytest.raises(ProviderError, match="took CPUExecutionProvider: no libcuda") as caught:
        sessions.open_session(linear(), "cuda")
    assert caught.value.exit_code == 5
    assert "nvidia-smi" in caught.value.remedy


@pytest.mark.usefixtures("without_driver")
def test_a_silent_fallback_that_is_allowed_carries_no_cuda_name(linear: Any) -> None:
    session = sessions.open_session(linear(), "cuda", allow_fallback=True)
    session.run({"x": [[1.0, 2.0, 3.0, 4.0]]})
    assert session.provider == CPU
    assert session.placement is not None
    assert session.placement.requested_ratio == 0.0
    assert len(session.notes) == 1
