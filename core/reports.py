"""What a pass did, what it did not do, and why: plain data without any rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """One thing that a pass changed.

    Attributes:
        node: Name of the node, initializer or group that changed.
        what: What changed, in a word or two (``"width"``, ``"int8"``).
        before: Its state before.
        after: Its state after.
    """

    node: str
    what: str
    before: str | int | float
    after: str | int | float


@dataclass(frozen=True)
class Skip:
    """One thing that a pass left alone, with the reason.

    Attributes:
        node: Name of the node (or value) that is the cause.
        axis: The axis concerned, where there is one.
        code: A short, stable word for scripts (``"no-rule"``, ``"graph-output"``).
        text: The reason for people.
    """

    node: str
    axis: int | None
    code: str
    text: str


@dataclass(frozen=True)
class GraphMetrics:
    """The size of a graph.

    Attributes:
        params: Elements of all floating-point or quantized weights, in initializers and Constant nodes.
        macs: Multiply-accumulates of one sample; None where a shape is unknown.
        size_bytes: Bytes of all initializers and constants.
        nodes: Number of nodes, subgraphs included.
    """

    params: int
    macs: int | None
    size_bytes: int
    nodes: int


@dataclass
class PassReport:
    """The report of one pass.

    Attributes:
        name: Name of the pass.
        applied: What it changed.
        skipped: What it left alone, with reasons.
        before: Metrics before the pass.
        after: Metrics after the pass.
        details: Figures of this kind of pass (JSON values only).
    """

    name: str
    applied: list[Change] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    before: GraphMetrics | None = None
    after: GraphMetrics | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
