"""float16 all through a model, except where it cannot hold the numbers.

Half the bytes, and on hardware with float16 units about half the time. A node stays in float32 where a constant
that it reads is too large for float16 or would vanish in it, where it counts with integers, and where onnx has no
float16 version of it or no schema at all; each is reported with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir

from ...core.errors import InputError, ModelError, UsageError
from ...core.metrics import measure_graph
from ...core.protos import DEFAULT_DOMAINS
from ...core.reports import Change, PassReport, Skip
from ...core.tensors import Array
from ..base import validate
from ..folding import constant
from .retyping import CONTROL_FLOW, Retyping, Slot, prepared, retype, takes

FLOAT16_MAX = 65504.0
"""The largest float16."""

FLOAT16_TINY = 3e-6
"""Below this float16 has so few bits left that rounding may be off by a hundredth."""

EXCLUDED = ("excluded", "excluded by the user")
"""Code and text of the reason for a node that was named by the user."""

_INTEGERS = frozenset(
    {ir.DataType.INT64, ir.DataType.INT32, ir.DataType.UINT64, ir.DataType.UINT32, ir.DataType.UINT16}
)


@dataclass(frozen=True)
class Float16Outcome:
    """A model in float16 and what was done.

    Attributes:
        model: The model.
        report: The nodes that compute in float16, and why others do not.
    """

    model: ir.Model
    report: PassReport


def to_float16(model: ir.Model, *, exclude: Sequence[str] = (), keep_io_types: bool = True) -> Float16Outcome:
    """Make a float32 model compute in float16.

    Args:
        model: Left as it is.
        exclude: Glob patterns of node names that stay in float32, nodes of inner graphs included.
        keep_io_types: Whether inputs and outputs of the model stay float32, with a Cast at the border.

    Raises:
        UsageError: A pattern matches no node, or only a node that holds graphs.
        InputError: No node can compute in float16.
        ModelError: The graph contradicts itself, or the type of a value is not known.
    """
    source = prepared(model)
    outcome = convert_nodes(
        source, dict.fromkeys(matching(source, exclude), EXCLUDED), keep_io_types=keep_io_types
    )
    outcome.report.before = measure_graph(model)
    return outcome


def matching(model: ir.Model, patterns: Sequence[str]) -> set[str]:
    """Names of the nodes, inner graphs included, that a glob pattern matches.

    Raises:
        UsageError: A pattern matches no node, or matches If, Loop or Scan by name.
    """
    found: set[str] = set()
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    for pattern in patterns:
        hits = [n for n in nodes if fnmatchcase(n.name or "", pattern)]
        if not hits:
            raise UsageError(f"no node matches {pattern!r}", remedy="list the names with `sardonyx inspect`")
        holders = [n for n in hits if n.op_type in CONTROL_FLOW]
        if holders and len(holders) == len(hits):
            raise UsageError(
                f"{holders[0].op_type} {holders[0].name!r} only holds graphs", remedy="name nodes inside it"
            )
        found |= {n.name or "" for n in hits}
    return found


def convert_nodes(
    source: ir.Model, kept: Mapping[str, tuple[str, str]], *, keep_io_types: bool
) -> Float16Outcome:
    """Convert all nodes but some.

    Args:
        source: A prepared model; left as it is.
        kept: Names of nodes that stay in float32, with code and text of the reason.
        keep_io_types: Whether inputs and outputs stay float32.

    Raises:
        InputError: No node can compute in float16.
    """
    result = source.clone()
    judge = _Judge(dict(result.opset_imports), kept)
    report = PassReport("float16", before=measure_graph(source))
    nodes = list(ir.traversal.RecursiveGraphIterator(result.graph))
    for node in nodes:
        if _touches_float(node) and node.op_type not in CONTROL_FLOW:
            skip = judge.why_float32(node)
            if skip is None:
                report.applied.append(Change(node.name or "", "type", "float32", "float16"))
            else:
                report.skipped.append(skip)
    if not report.applied:
        raise InputError(
            "no node can compute in float16", remedy="the report of each node says why; keep float32"
        )
    float32 = frozenset({ir.DataType.FLOAT})
    casts = retype(result, Retyping(float32, ir.DataType.FLOAT16, judge.admits, keep_io_types))
    validate(result)
    report.after = measure_graph(result)
    report.details = {
        "float16_nodes": len(report.applied),
        "float32_nodes": len(report.skipped),
        "casts": casts,
        "inputs_and_outputs": "float32" if keep_io_types else "float16",
    }
    return Float16Outcome(result, report)


@dataclass
class _Judge:
    """Decides which nodes, and which of their inputs and outputs, can be float16.

    Attributes:
        opsets: Versions of the operator sets.
        kept: Names of nodes that stay in float32, with code and text of the reason.
        known: What was decided.
        ranges: For each constant that was looked at, why it cannot be float16.
    """

    opsets: dict[str, int]
    kept: Mapping[str, tuple[str, str]]
    known: dict[ir.Node, Skip | None] = field(default_factory=dict)
    ranges: dict[ir.Value, str | None] = field(default_factory=dict)

    def admits(self, slot: Slot) -> bool:
        """Whether an input or output can be float16."""
        if slot.node.op_type in CONTROL_FLOW and slot.node.domain in DEFAULT_DOMAINS:
            return True
        return self.why_float32(slot.node) is None and bool(takes(slot, ir.DataType.FLOAT16, self.opsets))

    def why_float32(self, node: ir.Node) -> Skip | None:
        """Why a node stays in float32, or None."""
        if node not in self.known:
            reason = self._reason(node)
            self.known[node] = None if reason is None else Skip(node.name or "", None, *reason)
        return self.known[node]

    def _reason(self, node: ir.Node) -> tuple[str, str] | None:
        if (name := node.name or "") in self.kept:
            return self.kept[name]
        slots = _float_slots(node)
        answers = [takes(slot, ir.DataType.FLOAT16, self.opsets) for slot in slots]
        if None in answers:
            return "no-schema", f"{node.domain}.{node.op_type} is no operator of onnx"
        if not any(answers):
            return "no-float16", f"{node.op_type} has no float16 version in this opset"
        if node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].dtype in _INTEGERS:
            return "integers", "float16 counts exactly to 2048 only, and ends at 65504"
        for slot, answer in zip(slots, answers, strict=True):
            reason = self._range(node.inputs[slot.index]) if answer and not slot.is_output else None
            if reason is not None:
                return "range", reason
        return None

    def _range(self, value: ir.Value | None) -> str | None:
        array = constant(value)
        if value is None or array is None:
            return None
        if value not in self.ranges:
            self.ranges[value] = _range_reason(array, value.name or "")
        return self.ranges[value]


def _range_reason(array: Array, name: str) -> str | None:
    """Why float16 cannot hold a constant, or None; infinities it can.

    Raises:
        ModelError: It holds NaN.
    """
    if np.isnan(array).any():
        raise ModelError(
            f"initializer {name!r} holds NaN", remedy="export the model again from sound weights"
        )
    sizes = np.abs(array[np.isfinite(array)])
    largest = float(sizes.max(initial=0.0))
    if largest > FLOAT16_MAX:
        return f"{name!r} holds {largest:.3g}, float16 ends at {FLOAT16_MAX:.0f}"
    if 0.0 < largest < FLOAT16_TINY:
        return f"{name!r} holds nothing above {largest:.3g}, which float16 would lose"
    return None


def _float_slots(node: ir.Node) -> list[Slot]:
    """Inputs and outputs of float32."""
    both = [(node.inputs, False), (node.outputs, True)]
    return [
        Slot(node, index, is_output)
        for values, is_output in both
        for index, value in enumerate(values)
        if value is not None and value.dtype == ir.DataType.FLOAT
    ]


def _touches_float(node: ir.Node) -> bool:
    return bool(_float_slots(node))
