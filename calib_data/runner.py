"""Running a graph over samples, for whoever must not know which runtime does it.

Passes ask a :class:`Runner` for values of a graph; :class:`OrtRunner` is the one that uses ONNX Runtime. A test
can hand a pass another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import onnx
import onnx_ir as ir

from ..core.detach import detached_proto
from ..core.domains import check_domains
from ..core.errors import ModelError
from ..core.events import tell
from ..core.protos import subgraphs
from ..core.run_errors import blame
from ..core.tensors import Array, Feed
from .engine import load_onnxruntime

_LARGE_ELEMENTS = 1 << 20
"""Weights of more elements are lent to a session; below, a copy costs little, and kernels may pack it as they like."""


class Runner(Protocol):
    """Something that executes a graph."""

    @property
    def identity(self) -> str:
        """Its name and version: under another one, the same graph may give other values."""
        ...

    def run(
        self, model: ir.Model, feeds: Iterable[Feed], outputs: Sequence[str], *, optimize: bool = False
    ) -> Iterator[dict[str, Array]]:
        """Execute a graph once for each batch.

        Args:
            model: The graph; left as it is.
            feeds: The batches.
            outputs: Names of the values wanted: graph outputs, or any intermediate value of the main graph.
            optimize: Whether the runtime may fuse and fold (faster, and not bit-equal).

        Yields:
            For each batch, an array for each name in ``outputs``.

        Raises:
            ModelError: The runtime refuses the graph or a value does not exist.
        """
        ...


class OrtRunner:
    """Executes graphs on the CPU with ONNX Runtime.

    Args:
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads

    @property
    def identity(self) -> str:
        """ONNX Runtime and its version."""
        return f"onnxruntime {load_onnxruntime().__version__}"

    def run(
        self, model: ir.Model, feeds: Iterable[Feed], outputs: Sequence[str], *, optimize: bool = False
    ) -> Iterator[dict[str, Array]]:
        """Execute a graph once for each batch; see :meth:`Runner.run`."""
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4
        # Idle threads that spin would take the processor from the observers between two batches.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            if optimize
            else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        names = list(dict.fromkeys(outputs))
        if not names:  # a session wants something to do
            yield from ({} for _ in feeds)
            return
        with tapped(model, names):
            message, weights = detached_proto(model, _LARGE_ELEMENTS)
        needed = keep_needed(message.graph, names)
        # Large weights are lent to the session as they lie in memory, and not copied into a message and out of it.
        lent = {
            name: ort.OrtValue.ortvalue_from_numpy(tensor.numpy())
            for name, tensor in weights.items()
            if name in needed
        }
        if lent:
            options.add_external_initializers(list(lent), list(lent.values()))
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            # A value that is wanted must not be fused away, and this fusion does not look whether it is.
            session = ort.InferenceSession(
                message.SerializeToString(deterministic=True),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["ConvAddActivationFusion"],
            )
        except Exception as error:  # ONNX Runtime's own errors share no base class
            check_domains(model)
            refusal = ModelError(
                f"ONNX Runtime refuses the graph: {error}", remedy="run `sardonyx inspect` on the model"
            )
            raise blame(error, refusal) from error
        del message
        tell(f"running {model.graph.name or 'a graph'} on samples", values=len(names))
        for feed in feeds:
            try:
                values = dict(zip(names, session.run(names, feed), strict=True))
            except Exception as error:  # as above
                failure = ModelError(
                    f"the model fails on a batch: {error}",
                    remedy="check the samples against the model's inputs",
                )
                raise blame(error, failure) from error
            yield values
            # One batch at a time: what the reader has not kept is gone before the next is computed.
            del values


def keep_needed(graph: onnx.GraphProto, outputs: Sequence[str]) -> set[str]:
    """Reduce a graph to what some of its outputs need; a runtime would compute all the rest too.

    Args:
        graph: The graph, its nodes in order; changed in place.
        outputs: The outputs that are wanted.

    Returns:
        Names of all values that are needed.
    """
    needed = set(outputs)
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(_read(node))
    kept = nodes[::-1]
    if len(kept) < len(graph.node):
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(copies)
    _keep_named(graph.initializer, needed)
    _keep_named(graph.sparse_initializer, needed, lambda item: item.values.name)
    _keep_named(graph.output, set(outputs))
    return needed


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs inside it read: their own values too, which harms nobody."""
    yield from node.input
    for graph in subgraphs(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _read(inner)


def _keep_named(items: Any, names: set[str], name_of: Callable[[Any], str] = lambda item: item.name) -> None:
    for index in range(len(items) - 1, -1, -1):
        if name_of(items[index]) not in names:
            del items[index]


class tapped:  # noqa: N801 - used as a context manager, named like one
    """Within the block, the named values are outputs of the model's graph, added behind its own.

    Args:
        model: The graph; restored when the block ends.
        names: Values of the main graph.

    Raises:
        ModelError: A value does not exist in the main graph.
    """

    def __init__(self, model: ir.Model, names: Sequence[str]) -> None:
        self.graph = model.graph
        present = {v.name for v in self.graph.outputs}
        values = {v.name: v for v in (*self.graph.inputs, *self.graph.initializers.values())}
        values |= {v.name: v for node in self.graph for v in node.outputs if v.name}
        missing = [n for n in names if n not in values and n not in present]
        if missing:
            raise ModelError(
                f"value {missing[0]!r} is not in the graph", remedy="name a value of the main graph"
            )
        self.added = [values[n] for n in names if n not in present]

    def __enter__(self) -> None:
        """Add the outputs."""
        self.graph.outputs.extend(self.added)

    def __exit__(self, *exc: object) -> None:
        """Take them away again."""
        # Not a slice deletion: onnx-ir 1.1 would go on taking the values for graph outputs after it.
        for _ in self.added:
            self.graph.outputs.pop()
