"""Which node of a model fails: ONNX Runtime names those of the graph that it made of it."""

from __future__ import annotations

import re

import onnx_ir as ir

from ..core import ModelArtifact
from ..core.run_errors import is_out_of_memory
from ..core.tensors import Feed
from .engine import load_onnxruntime, quiet_options
from .providers import CPU

_NAMED = re.compile(r"while running \S+ node\. Name:'(.*?)' Status", re.DOTALL)


def own_failure(model: ModelArtifact, feed: Feed, error: Exception) -> Exception:
    """A failed run told by a node of the model itself, where the error names another or none.

    An optimised graph holds nodes that nobody has written. Without optimisations, and with a name for every node, the
    same batch fails at one of the model's own.

    Args:
        model: The model.
        feed: The batch that it failed on.
        error: What ONNX Runtime raised.

    Returns:
        What it raises then; the error that is given where that names a node, or nothing more is found.
    """
    found = _NAMED.search(str(error))
    if found is None or is_out_of_memory(error) or model.has_weights_beside:
        return error
    graph = model.load()
    nodes = list(ir.traversal.RecursiveGraphIterator(graph.graph))
    if found[1] in {node.name for node in nodes if node.name}:
        return error
    for node in nodes:
        node.name = node.name or f"unnamed, makes {node.outputs[0].name}"
    ort = load_onnxruntime()
    options = quiet_options(ort, 1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        content = ir.to_proto(graph).SerializeToString()
        ort.InferenceSession(content, options, providers=[CPU]).run(None, feed)
    except Exception as plain:  # noqa: BLE001 - ONNX Runtime's own errors share no base class
        return plain
    return error
