"""Taking out of a model what the machine that exported it left there.

Torch writes the source path, line and stack of every operator into node metadata, and the module's class path
beside it: paths of a machine do not belong in a file that is shipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def strip_traces(model: ir.Model) -> None:
    """Remove all metadata and documentation strings, in place; names, values and attributes stay."""
    for holder in _holders(model):
        holder.metadata_props.clear()
        holder.doc_string = None
    model.metadata_props.clear()
    model.doc_string = None


def _holders(model: ir.Model) -> Iterator[ir.Graph | ir.Function | ir.Node | ir.Value]:
    for part in _parts(model):
        yield part
        yield from part.inputs
        yield from part.initializers.values() if isinstance(part, ir.Graph) else ()
        for node in part:
            yield node
            yield from node.outputs


def _parts(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    """The main graph, the functions, and every graph inside them."""
    yield model.graph
    yield from model.graph.subgraphs()
    for function in model.functions.values():
        yield function
        yield from function.subgraphs()
