"""Operators that ONNX Runtime only runs with a custom library, which is native code and is never loaded."""

from __future__ import annotations

import onnx_ir as ir

from ..core.errors import ModelError

RUNTIME_DOMAINS = frozenset(
    {
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        "com.microsoft",
        "com.microsoft.experimental",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
        "org.pytorch.aten",
    }
)
"""Operator domains that ONNX Runtime holds kernels for."""


def check_domains(model: ir.Model) -> None:
    """Refuse operators of a custom library, by name.

    Args:
        model: The graph; functions that it defines itself are fine.

    Raises:
        ModelError: An operator is in no domain that ONNX Runtime or the model defines.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain not in RUNTIME_DOMAINS and node.op_identifier() not in model.functions:
            raise ModelError(
                f"node {node.name!r} is {node.domain}::{node.op_type}, an operator of a custom library",
                remedy="export without custom operators; libraries are native code and are not loaded",
            )
