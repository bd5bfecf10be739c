"""How usable a model is on the execution providers of phones: what each takes, node by node, and why not the rest.

Nothing is run and no device is asked: the answer is what ONNX Runtime's lists and sources say of the graph. Ask about the
model that is shipped, cleaned up, with its shapes fixed if they are to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..core.artifact import ModelArtifact
from .mobile_lists import read_list
from .node_facts import label, operator_version
from .partitions import partitions_of
from .provider_rules import Provider
from .usability_graph import PreparedGraph
from .usability_reasons import reasons_of
from .usability_tables import PROVIDERS

GOOD_SHARE = 0.75
"""From this share of the work on a single partition is likely to pay off. ONNX Runtime's usability checker asks the same
share, of the nodes; here it is of the multiply-accumulates where they are known."""

FAIR_SHARE = 0.5
"""From this share on it may."""

OLD_RUNTIME_VERSION = 20
"""Operators that changed in a later opset are left by NNAPI and CoreML of older runtimes (``GetMaxSupportedOpSet``)."""


@dataclass(frozen=True)
class LeftNode:
    """A node that stays on the CPU.

    Attributes:
        node: Its name, or the value that it makes.
        op: Its operator.
        reason: Why, in plain words.
    """

    node: str
    op: str
    reason: str


@dataclass(frozen=True)
class NodePlace:
    """Where a node of the main graph runs.

    Attributes:
        node: Its name, or the value that it makes.
        op: Its operator.
        partition: The number of its partition, from 0; None on the CPU.
        reason: Why it stays there; empty where it is taken.
    """

    node: str
    op: str
    partition: int | None
    reason: str


@dataclass(frozen=True)
class Usability:
    """What a provider would take of a model.

    Attributes:
        provider: The provider.
        nodes: Nodes of the main graph, functions inlined; what depends on constants only is computed beforehand.
        taken: How many of them it takes.
        partitions: How many pieces these form.
        left: The others, with reasons.
        places: Every node in the graph's order.
        macs_ratio: Share of the multiply-accumulates in the nodes taken, 0 to 1; None where a size is unknown or there are none.
        verdict: Whether it is likely to pay off, in one line.
        notes: What is not checked, or will need care.
    """

    provider: str
    nodes: int
    taken: int
    partitions: int
    left: tuple[LeftNode, ...]
    places: tuple[NodePlace, ...] = ()
    macs_ratio: float | None = None
    verdict: str = ""
    notes: tuple[str, ...] = ()


def usability(model: ModelArtifact) -> tuple[Usability, ...]:
    """Tell for each provider which nodes of a model it takes, in how many partitions, and why it leaves the others.

    Args:
        model: The model, as it will be shipped.

    Returns:
        One answer for each of :data:`~sardonyx.deploy.usability_tables.PROVIDERS`.

    Raises:
        MissingExtraError: ONNX Runtime, whose lists are read, is not installed.
        EnvironmentFault: Its lists have another form than those that are known.
        ModelError: The graph contradicts itself.
    """
    graph = PreparedGraph.of(model)
    return tuple(_of(provider, graph) for provider in PROVIDERS)


def _of(provider: Provider, graph: PreparedGraph) -> Usability:
    units = graph.groups if provider.knows_groups else graph.singles
    reasons = reasons_of(provider, units, graph)
    numbers: dict[ir.Node, int] = {}
    count = 0
    for group in partitions_of(units, [not reason for reason in reasons]):
        inside = [node for index in group for node in units[index].nodes]
        if refusal := provider.refuses([node.op_type for node in inside]):
            for index in group:
                reasons[index] = refusal
        else:
            numbers |= dict.fromkeys(inside, count)
            count += 1
    # A DequantizeLinear that several units share is left if one of them is: that one keeps a copy of it on the CPU.
    why = {node: reason for unit, reason in zip(units, reasons, strict=True) if reason for node in unit.nodes}
    places = tuple(
        NodePlace(label(n), n.op_type, None if n in why else numbers[n], why.get(n, "")) for n in graph.nodes
    )
    taken = [node for node in graph.nodes if node not in why]
    ratio = graph.macs_ratio(taken)
    share = ratio if ratio is not None else len(taken) / max(len(places), 1)
    return Usability(
        provider=provider.name,
        nodes=len(places),
        taken=len(taken),
        partitions=count,
        left=tuple(LeftNode(p.node, p.op, p.reason) for p in places if p.partition is None),
        places=places,
        macs_ratio=ratio,
        verdict=_verdict(count, share, provider.copies, bool(_free(taken))),
        notes=(*_notes(provider, graph, taken), *provider.remarks),
    )


def _verdict(partitions: int, share: float, copies: bool, is_free: bool) -> str:
    """One line; where a partition costs copies, few of them and fixed shapes are wanted as well."""
    if not partitions:
        return "no: it takes nothing of this model"
    said = f"{partitions} partition{'s' * (partitions != 1)} with {share:.0%} of the work"
    pieces = partitions if copies else 1
    if pieces == 1 and share >= GOOD_SHARE and not (is_free and copies):
        return f"likely: {said}"
    if (pieces == 1 and share >= FAIR_SHARE) or (pieces == 2 and share >= GOOD_SHARE):
        return f"perhaps: {said}; {'fix the shapes first' if is_free and copies else 'measure it'}"
    return f"unlikely: {said}"


def _free(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """Nodes that read something with a free dimension, or of an unknown shape."""
    return [
        n for n in nodes if any(v is not None and (v.shape is None or v.shape.is_dynamic()) for v in n.inputs)
    ]


def _notes(provider: Provider, graph: PreparedGraph, taken: Sequence[ir.Node]) -> list[str]:
    """What the tables do not cover, for the operators of this model."""
    keys = {f"{node.domain or 'ai.onnx'}:{node.op_type}" for node in taken}
    listed = read_list(provider.list_name) if provider.list_name else {}
    notes = [f"{graph.folded} nodes depend on constants only, or do nothing, and are gone before"] * bool(
        graph.folded
    )
    for key in sorted(keys & set(listed)):
        rule = provider.rules.get(key)
        if listed[key] and (rule is None or rule.note != listed[key]):
            notes.append(f"not checked, ONNX Runtime's list says of {key}: {listed[key]}")
    if provider.copies and (free := _free(taken)):
        notes.append(f"{len(free)} nodes are taken with free dimensions, which costs time; fix the shapes")
    newer = {n.op_type for n in taken if operator_version(n, graph.opsets) > OLD_RUNTIME_VERSION}
    if newer:
        names = ", ".join(sorted(newer))
        notes.append(
            f"operators changed after opset {OLD_RUNTIME_VERSION} ({names}): older runtimes leave them"
        )
    return notes
