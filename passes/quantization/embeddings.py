"""Embedding tables in blocks: a Gather of a constant table becomes ``com.microsoft.GatherBlockQuantized``.

Rows stay where they are, each cut into blocks along its length, and only those that are looked up are dequantized.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...core.reports import Skip
from ..constants import add_constant
from ..folding import constant
from .blocks import BlockFormat, quantize_blocks
from .constant_products import graph_of, put_in_place
from .eligibility import is_named, require_finite
from .weight_errors import WeightError, blocks_sqnr_db

LOOKUPS = frozenset({"Gather"})
"""Operators that look rows up."""


def is_lookup(node: ir.Node) -> bool:
    """Whether a Gather reads a constant float32 matrix."""
    table = constant(node.inputs[0])
    return table is not None and table.ndim == 2 and table.dtype == np.float32


def why_no_table(node: ir.Node, exclude: Sequence[str], form: BlockFormat) -> Skip | None:
    """Why a table cannot be quantized, or None.

    Args:
        node: A Gather that :func:`is_lookup`.
        exclude: Glob patterns of node names that stay float.
        form: How tables are cut.

    Raises:
        ModelError: The table is not finite.
    """
    name, table = node.name or "", constant(node.inputs[0])
    assert table is not None
    if is_named(node, exclude):
        return Skip(name, None, "excluded", "excluded by the user")
    if node.attributes.get_int("axis", 0) not in {0, -2}:
        return Skip(name, None, "axis", "the kernel looks up rows, this node columns")
    if table.shape[1] < form.block_size or table.shape[1] % 2:
        return Skip(name, None, "narrow", f"its rows of {table.shape[1]} do not fill a block of whole bytes")
    require_finite(node, 0)
    return None


def replace_table(node: ir.Node, form: BlockFormat) -> WeightError:
    """Put the quantized lookup in the place of a Gather.

    Args:
        node: One that :func:`why_no_table` has nothing against.
        form: How the table is cut.
    """
    table, graph = constant(node.inputs[0]), graph_of(node)
    assert table is not None
    width = table.shape[1]
    blocks = quantize_blocks(table.T, form)
    error = blocks_sqnr_db(table.T, blocks, form.bits)
    arrays = blocks.stored(form)
    arrays["packed"] = np.ascontiguousarray(
        blocks.packed.reshape(len(table), -1)[:, : width * form.bits // 8]
    )
    stem = f"{node.name}.{node.inputs[0].name if node.inputs[0] is not None else ''}"
    table_parts = [add_constant(graph, f"{stem}_{part}", array) for part, array in arrays.items()]
    attributes = {
        "bits": form.bits,
        "block_size": form.block_size,
        "gather_axis": 0,
        "quantize_axis": 1,
    }
    lookup = ir.node(
        "GatherBlockQuantized",
        [table_parts[0], node.inputs[1], *table_parts[1:]],
        attributes=attributes,
        domain="com.microsoft",
        version=1,
        name=node.name,
    )
    put_in_place(node, [lookup])
    return WeightError(lookup.name or "", error, sum(array.nbytes for array in arrays.values()))
