"""A model in half or double precision as a float32 one, so that what starts from float32 can take it.

Weights and every value between become float32; inputs and outputs keep their types, with a Cast at the border.
float16 and bfloat16 lose nothing by it. Doubles are rounded, and one that float32 cannot hold is refused.
"""

from __future__ import annotations

import onnx_ir as ir

from ...core.errors import ModelError
from ...core.protos import DEFAULT_DOMAINS
from ..base import validate
from .retyping import RUNTIME_DOMAIN, Retyping, Slot, prepared, retype, takes, word

_OTHERS = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})


def is_narrow(model: ir.Model) -> bool:
    """Whether a model computes in half or double precision anywhere."""
    if any(v.dtype in _OTHERS for v in model.graph.inputs):
        return True
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    if any(v is not None and v.dtype in _OTHERS for n in nodes for v in (*n.inputs, *n.outputs)):
        return True
    return any(
        attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in _OTHERS
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        for attribute in node.attributes.values()
    )


def to_float32(model: ir.Model) -> ir.Model:
    """Make a model compute in float32 that computes in float16, bfloat16 or double.

    Args:
        model: Left as it is.

    Returns:
        A new model with inputs and outputs of the same names and types; a copy where there is nothing to do.

    Raises:
        ModelError: An operator cannot be done in float32, a weight does not fit, or a type is not known; the node
            or the weight is named.
    """
    if not is_narrow(model):
        return model.clone()
    result = prepared(model)
    opsets = dict(result.opset_imports)

    def admits(slot: Slot) -> bool:
        _refuse_unless_possible(slot, opsets)
        return True

    retype(result, Retyping(_OTHERS, ir.DataType.FLOAT, admits))
    validate(result)
    return result


def _refuse_unless_possible(slot: Slot, opsets: dict[str, int]) -> None:
    node = slot.node
    kind = (node.outputs if slot.is_output else node.inputs)[slot.index].dtype  # type: ignore[union-attr]
    if node.domain in DEFAULT_DOMAINS and node.op_type == "BitCast":
        reason = "reads the bits of the number"
    elif takes(slot, ir.DataType.FLOAT, opsets) is False:
        reason = "takes no float32 there"
    elif (
        node.domain not in DEFAULT_DOMAINS | {RUNTIME_DOMAIN}
        and takes(slot, kind or ir.DataType.FLOAT, opsets) is None
    ):
        reason = f"is an operator of {node.domain!r}, of which no schema is known"
    elif node.op_type == "TreeEnsemble":
        reason = "holds its thresholds in that type"
    else:
        return
    place = f"{'output' if slot.is_output else 'input'} {slot.index}"
    raise ModelError(
        f"{node.op_type} {node.name!r} works in {word(kind)} and cannot work in float32: it {reason} ({place})",
        remedy="export the model in float32",
    )
