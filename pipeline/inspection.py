"""What a model holds, and which of its neurons go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..core.metrics import measure_graph
from ..core.reports import GraphMetrics
from ..passes import CleanupPass
from ..passes.coupling import Coupling, Group, analyze
from ..passes.pruning import macs_model
from .opening import ModelLike, as_model


@dataclass(frozen=True)
class CoupledGroup:
    """Neurons that go together.

    Attributes:
        name: The initializer that names the group.
        neurons: How many.
        params_per_neuron: Parameters that go with one neuron.
        macs_per_neuron: Multiply-accumulates of one sample that go with one neuron; those of nodes whose shapes are
            unknown are left out.
        members: Each axis they are cut from, as ``initializer axis``.
        code: Why the group is frozen, in a word; None where it can be cut.
        reason: Why, in a sentence.
    """

    name: str
    neurons: int
    params_per_neuron: int
    macs_per_neuron: int
    members: tuple[str, ...]
    code: str | None
    reason: str | None


@dataclass(frozen=True)
class Inspection:
    """What a model holds.

    Attributes:
        name: Its name.
        sha256: SHA-256 of its file.
        size_bytes: Bytes of its file.
        ir_version: Version of the format.
        opsets: Version of each operator set.
        producer: What made it.
        inputs: Each input: name, type and shape.
        outputs: Each output.
        operators: How often each operator occurs.
        dtypes: Elements of initializers by type.
        size: Parameters, MACs, bytes and nodes.
        notes: What was repaired when it was opened, and what will need care.
        groups: Coupled neurons, where asked for; frozen groups carry their reason.
        cuttable_ratio: Share of the parameters that a free group could take away; None where not asked for.
    """

    name: str
    sha256: str
    size_bytes: int
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    dtypes: Mapping[str, int]
    size: GraphMetrics
    notes: tuple[str, ...] = ()
    groups: tuple[CoupledGroup, ...] | None = None
    cuttable_ratio: float | None = None


def inspect(model: ModelLike, *, coupling: bool = False) -> Inspection:
    """Look into a model.

    Args:
        model: The model.
        coupling: Whether to find the groups of coupled neurons too, after the cleanup that `prune` does.

    Raises:
        ModelError: The file cannot be accepted.
    """
    artifact = as_model(model)
    graph = artifact.load()
    size = measure_graph(graph)
    groups: tuple[CoupledGroup, ...] | None = None
    cuttable: float | None = None
    if coupling:
        cleaned = artifact.load()
        CleanupPass()(cleaned)
        groups, cuttable = _coupling(cleaned)
        # Shapes that are computed in the graph are known once the cleanup has folded them.
        size = size if size.macs is not None else replace(size, macs=measure_graph(cleaned).macs)
    return Inspection(
        name=artifact.name,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        ir_version=graph.ir_version,
        opsets={domain or "ai.onnx": number for domain, number in sorted(graph.opset_imports.items())},
        producer=" ".join(filter(None, (graph.producer_name, graph.producer_version))),
        inputs=tuple(map(str, artifact.inputs)),
        outputs=tuple(map(str, artifact.outputs)),
        operators=_operators(graph),
        dtypes=_dtypes(graph),
        size=size,
        notes=artifact.notes,
        groups=groups,
        cuttable_ratio=cuttable,
    )


def _operators(graph: ir.Model) -> dict[str, int]:
    nodes = ir.traversal.RecursiveGraphIterator(graph.graph)
    names = (n.op_type if n.domain in {"", "ai.onnx"} else f"{n.domain}.{n.op_type}" for n in nodes)
    return dict(Counter(names).most_common())


def _dtypes(graph: ir.Model) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in (graph.graph, *graph.graph.subgraphs()):
        for value in part.initializers.values():
            if value.const_value is not None:
                counts[value.const_value.dtype.name.lower()] += value.const_value.size
    return dict(counts.most_common())


def _coupling(graph: ir.Model) -> tuple[tuple[CoupledGroup, ...], float]:
    found = analyze(graph)
    costs = macs_model(graph, found, found.all_groups, None)
    groups = tuple(
        _describe(group, costs.saving(costs.full, index, group.size - 1))
        for index, group in enumerate(found.all_groups)
    )
    return groups, _cuttable(found, graph)


def _describe(group: Group, macs: float) -> CoupledGroup:
    frozen = group.frozen
    return CoupledGroup(
        name=group.name,
        neurons=group.size,
        params_per_neuron=group.params,
        macs_per_neuron=round(macs),
        members=tuple(f"{member.value.name} {member.axis}" for member in group.members),
        code=None if frozen is None else frozen.code,
        reason=None if frozen is None else frozen.text,
    )


def _cuttable(coupling: Coupling, graph: ir.Model) -> float:
    """Share of the parameters in initializers that at least one free group touches."""
    touched = {member.value.name for group in coupling.groups for member in group.members}
    sizes = {n: v.const_value.size for n, v in graph.graph.initializers.items() if v.const_value is not None}
    total = measure_graph(graph).params
    return sum(size for name, size in sizes.items() if name in touched) / total if total else 0.0
