"""What a log tells: lines as providers of ONNX Runtime write them, and a real log."""

from __future__ import annotations

from typing import Any

import pytest
from sardonyx.core.errors import ProviderError
from sardonyx.runtime.ort_log import log_of_opening, reason_not_started, reasons_of_nodes
from sardonyx.runtime.providers import CPU, Choice, check_started

CUDA = "CUDAExecutionProvider"
STAMP = "2026-11-28 07:07:34.422 [I:onnxruntime:, cuda_execution_provider.cc:3000 GetCapability] "


@pytest.mark.parametrize(
    ("line", "node", "reason"),
    [
        (
            "CUDA kernel not found in registries for Op type: Det node name: det",
            "det",
            "cuda has no kernel of Det for these types",
        ),
        (
            "CUDA kernel not supported. Fallback to CPU execution provider for Op type: LSTM node name: /rnn 1",
            "/rnn 1",
            "the kernel of LSTM on cuda does not take these attributes",
        ),
        (
            "ORT optimization- Force fallback to CPU execution for node: cat because the CPU execution path is deemed",
            "cat",
            "ONNX Runtime takes the CPU to be faster: the node works on shapes or a few integers",
        ),
        ("Resize node `up` is not supported: cubic", "up", "cuda does not support it: cubic"),
        (
            "Operator type: [Erf] index: [3] name: [gelu] supported: [0]",
            "gelu",
            "cuda does not support Erf with these inputs and attributes",
        ),
    ],
)
def test_a_reason_is_read_from_the_line_that_states_it(line: str, node: str, reason: str) -> None:
    assert reasons_of_nodes(["noise", STAMP + line], CUDA) == {node: reason}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Operator type: [Erf] index: [3] name: [gelu] supported: [1]",
        "Node(s) placed on [CPU]",
        "MatMul (first)",
    ],
)
def test_a_line_that_states_none_gives_none(line: str) -> None:
    assert reasons_of_nodes([STAMP + line], CUDA) == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "[E:onnxruntime:Default] FAIL : Failed to load library /a/b.so with error: libcublasLt.so.13: cannot open",
            "libcublasLt.so.13: cannot open",
        ),
        (
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0 ; hostname=x",
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
        ),
        ("All nodes placed on [CPUExecutionProvider]", None),
    ],
)
def test_why_a_provider_did_not_start(line: str, reason: str | None) -> None:
    assert reason_not_started(["noise", line]) == reason


def test_the_reason_is_part_of_the_refusal() -> None:
    with pytest.raises(ProviderError, match="took CPUExecutionProvider: no libcublas"):
        check_started(Choice(CUDA), [CPU], find_reason=lambda: "no libcublas")


def test_the_log_of_a_real_opening_is_complete(linear: Any) -> None:
    lines = log_of_opening(linear(), CPU)
    assert any("All nodes placed on [CPUExecutionProvider]. Number of nodes: 2" in line for line in lines)
