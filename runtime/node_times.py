"""How long each node of a model takes, for several models in turns, so that they can be set against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ModelError, ProviderError
from ..core.metrics import MACS_RULES
from .feeds import feed_of
from .optimized import source_names
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


def layers_of(model: ModelArtifact, kernels: Mapping[str, str], provider: str = "cpu") -> dict[str, str]:
    """Which node of a model each kernel of its optimised graph counts as.

    What was fused into a layer counts as that layer. Where the provider compiles nodes, so that the optimised graph
    cannot be read back, a kernel counts as the node of its own name.

    Args:
        model: The model.
        kernels: Operators by the names of nodes of the optimised graph.
        provider: The provider it is optimised for.

    Returns:
        Names of the model's nodes by those of kernels; :data:`REST` for what stands for no node.
    """
    nodes = {node.name: node for node in model.load().graph if node.name}
    try:
        sources = source_names(model, provider)
    except (ModelError, ProviderError):
        sources = {name: name for name in kernels}
    taken = {nodes[s] for s in sources.values() if s in nodes}
    found: dict[str, str] = {}
    for kernel, op_type in kernels.items():
        source = nodes.get(sources.get(kernel, ""))
        if source is not None and op_type.removeprefix("Fused") in MACS_RULES:
            source = _layer_within(source, taken)
        found[kernel] = REST if source is None else source.name or REST
    return found


def _by_node(model: ModelArtifact, times: tuple[NodeTime, ...], provider: str) -> dict[str, float]:
    layers = layers_of(model, {time.node: time.op_type for time in times}, provider)
    found: dict[str, float] = defaultdict(float)
    for time in times:
        found[layers[time.node]] += time.median_us / 1000
    return dict(found)


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
