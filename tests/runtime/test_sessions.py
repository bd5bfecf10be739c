from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper
from sardonyx.core.errors import DataError, ModelError, ProviderError, UsageError
from sardonyx.runtime import open_session
from sardonyx.runtime.providers import CPU
from sardonyx.runtime.sessions import bind_to_memory

X = np.ones((2, 4), np.float32)


def test_a_session_gives_every_output_by_name(linear: Any) -> None:
    outputs = open_session(linear()).run({"x": X})
    assert {n: a.shape for n, a in outputs.items()} == {"total": (2,), "y": (2, 3)}
    np.testing.assert_allclose(outputs["total"], [4, 4])


def test_a_profiled_run_says_where_each_node_ran(linear: Any) -> None:
    session = open_session(linear(), profile=True)
    assert session.placement is None
    session.run({"x": X})
    assert session.placement is not None
    assert session.placement.requested_ratio == 1.0
    assert {"sum", "product"} <= {n.node for n in session.node_times}


def test_profiling_ends_with_the_first_run(linear: Any) -> None:
    session = open_session(linear(), profile=True)
    session.run({"x": X})
    first = session.node_times
    session.run({"x": X})
    assert session.node_times is first


def test_an_absent_provider_is_refused_or_said(linear: Any) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.raises(ProviderError, match="CUDAExecutionProvider was asked for"):
        open_session(linear(), "cuda")
    session = open_session(linear(), "cuda", allow_fallback=True)
    assert session.provider == CPU
    assert "everything ran on CPU" in session.notes[0]


def test_cuda_runs_the_nodes(stack: Any) -> None:
    if "CUDAExecutionProvider" not in ort.get_available_providers() or not shutil.which("nvidia-smi"):
        pytest.skip("no CUDA device")
    session = open_session(stack(2), "cuda")
    run = session.bind({"x": np.ones((2, 64), np.float32)})
    run()
    assert session.placement is not None
    assert session.placement.requested_ratio > 0.5


def test_binding_to_memory_runs_the_same_model(linear: Any) -> None:
    raw = ort.InferenceSession(linear().content, providers=[CPU])
    bound: list[Any] = []
    recorded = SimpleNamespace(
        io_binding=lambda: bound.append(raw.io_binding()) or bound[0],
        get_outputs=raw.get_outputs,
        run_with_iobinding=raw.run_with_iobinding,
    )
    bind_to_memory(recorded, {"x": X}, "cpu")()
    for found, expected in zip(bound[0].copy_outputs_to_cpu(), raw.run(None, {"x": X}), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("feed", [{}, {"z": X}, {"x": X.astype(np.float64)}, {"x": X[:, :2]}])
def test_a_batch_that_does_not_fit_is_refused(linear: Any, feed: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="fails on a batch"):
        open_session(linear()).run(feed)


def test_a_custom_library_is_refused_by_node_and_domain(build: Any) -> None:
    node = helper.make_node("Frob", ["x"], ["y"], "odd", domain="com.example")
    model = build([node], {"y": ["N", 4]}, {}, ["N", 4], domains=("com.example",))
    with pytest.raises(ModelError, match=r"'odd' is com\.example::Frob"):
        open_session(model)


def test_options_that_nothing_would_read_are_refused(linear: Any) -> None:
    with pytest.raises(UsageError, match="takes no options"):
        open_session(linear(), provider_options={"device_id": "1"})
