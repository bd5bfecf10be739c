"""How long each node of a model takes, for several models in turns, so that they can be set against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.metrics import MACS_RULES
from .feeds import feed_of
from .optimized import OptimizedNode, optimized_nodes, source_names
from .placement import NodeTime
from .sessions import open_session

REST = ""
"""What time that belongs to no node of the model is counted under: changes of layout, mostly."""


def time_nodes(
    models: Mapping[str, ModelArtifact],
    data: CalibrationData | None,
    *,
    batch: int,
    provider: str = "cpu",
    threads: int = 0,
    rounds: int = 20,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Time the nodes of models by ONNX Runtime's profile.

    Every round runs each model once, in an order that is shuffled anew; a node's time is the median of its runs. What
    was fused into a layer counts as that layer.

    Args:
        models: Models by name.
        data: Samples to run; made up where None.
        batch: Samples in a run.
        provider: The execution provider.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Runs of each model.
        seed: Seed of the order.

    Returns:
        For each model the milliseconds of each of its nodes by name, and under :data:`REST` what belongs to none.

    Raises:
        ModelError: ONNX Runtime refuses a model.
        ProviderError: The provider is not there.
        DataError: The samples do not fit a model.
    """
    sessions = {
        name: open_session(
            model, provider, threads=threads, profile=True, profiled_runs=rounds, stop_spinning=True
        )
        for name, model in models.items()
    }
    feeds = {name: feed_of(model, data, batch, seed=seed) for name, model in models.items()}
    random, names = np.random.default_rng(seed), list(models)
    for _ in range(rounds):
        for index in random.permutation(len(names)):
            sessions[names[index]].run(feeds[names[index]])
    return {name: _by_node(model, sessions[name].node_times, provider) for name, model in models.items()}


def _by_node(model: ModelArtifact, times: tuple[NodeTime, ...], provider: str) -> dict[str, float]:
    optimized = {node.node: node for node in optimized_nodes(model, provider)}
    sources = source_names(model, provider)
    graph = model.load().graph
    nodes = {node.name: node for node in graph if node.name}
    taken = {nodes[s] for s in sources.values() if s in nodes}
    found: dict[str, float] = defaultdict(float)
    for time in times:
        source = nodes.get(sources.get(time.node, ""))
        if source is None:
            found[REST] += time.median_us / 1000
            continue
        layer = _layer_within(source, taken) if _has_weights(optimized.get(time.node)) else source
        found[layer.name or REST] += time.median_us / 1000
    return dict(found)


def _has_weights(node: OptimizedNode | None) -> bool:
    return node is not None and node.op_type.removeprefix("Fused") in MACS_RULES


def _layer_within(last: ir.Node, taken: set[ir.Node]) -> ir.Node:
    """The layer that was fused with what follows it: the nearest before the last node, past no other node that runs."""
    queue, seen = [last], {last}
    while queue:
        node = queue.pop(0)
        if node.op_type in MACS_RULES:
            return node
        for value in node.inputs:
            maker = None if value is None else value.producer()
            if maker is not None and maker not in seen and maker not in taken:
                seen.add(maker)
                queue.append(maker)
    return last
