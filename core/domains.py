"""Operators that ONNX Runtime only runs with a custom library, which is native code and is never loaded."""

from __future__ import annotations

import onnx_ir as ir

from .errors import ModelError

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


def is_foreign(node: ir.Node, model: ir.Model) -> bool:
    """Whether a node needs a library: ONNX Runtime has no kernels for its domain, the model no such function."""
    return node.domain not in RUNTIME_DOMAINS and node.op_identifier() not in model.functions


def check_domains(model: ir.Model) -> None:
    """Refuse operators of a custom library, by name.

    Args:
        model: The graph; functions that it defines itself are fine.

    Raises:
        ModelError: An operator is in no domain that ONNX Runtime or the model defines.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if is_foreign(node, model):
            made = ", ".join(repr(value.name) for value in node.outputs) or "nothing"
            named = f"node {node.name!r}" if node.name else f"the node that makes {made:.80}"
            raise ModelError(
                f"{named} is {node.domain}::{node.op_type}, an operator of a custom library",
                remedy="export without custom operators; libraries are native code and are not loaded",
            )
