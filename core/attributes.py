"""Counts in the attributes of operators that nothing can have, and that onnx itself does not look at."""

from __future__ import annotations

import onnx

from .errors import ModelError
from .protos import DEFAULT_DOMAINS, all_nodes, label

_GROUPED = frozenset({"Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv"})
"""Operators that split their channels into ``group`` parts."""


def check_attributes(model: onnx.ModelProto) -> None:
    """Refuse convolutions without a group, and a Split into more parts than it has outputs.

    What follows divides by the first; shape inference makes room for the second, however many they are.

    Raises:
        ModelError: Naming the node and the number.
    """
    for node in all_nodes(model):
        if node.domain in DEFAULT_DOMAINS:
            for attribute in node.attribute:
                _check(node, attribute)


def _check(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    if attribute.ref_attr_name:
        return  # the caller of a function gives it
    given, outputs = attribute.i, len(node.output)
    if attribute.name == "group" and node.op_type in _GROUPED and given < 1:
        raise ModelError(f"{label(node)} has {given} groups: at least 1 is needed", remedy=_REMEDY)
    if attribute.name == "num_outputs" and node.op_type == "Split" and given > outputs:
        raise ModelError(f"{label(node)} splits into {given}, and has {outputs} outputs", remedy=_REMEDY)


_REMEDY = "the file is damaged or was written by a faulty tool; export the model again"
