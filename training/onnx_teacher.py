"""An ONNX graph as a teacher, executed by whoever runs graphs; nothing in it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..calib_data.runner import OrtRunner, Runner
from ..core.artifact import ModelArtifact
from ..core.errors import DataError
from ..core.tensors import Array, Feed, input_specs
from .batches import Inputs, Outputs
from .graph.values import layer_values
from .layers import Values, unknown_layer


class OnnxTeacher(nn.Module):
    """A graph that answers like a module, without a gradient.

    Its layers are the values of the main graph, by name. A session is opened for each set of values and kept.

    Args:
        model: The file, or an opened one.
        runner: Executes the graph; ONNX Runtime on the CPU where None.

    Raises:
        ModelError: The file is not accepted.
    """

    sha256: torch.Tensor

    def __init__(self, model: str | Path | ModelArtifact, runner: Runner | None = None) -> None:
        super().__init__()
        artifact = model if isinstance(model, ModelArtifact) else ModelArtifact.open(model)
        self._graph = artifact.load()
        self._runner = runner or OrtRunner(torch.get_num_threads())
        self._specs = input_specs(self._graph)
        self._outputs = tuple(str(value.name) for value in self._graph.graph.outputs)
        self._sessions: dict[tuple[str, ...], _Session] = {}
        # Part of the state, so that another graph is another teacher to whoever compares states.
        self.register_buffer("sha256", torch.tensor(list(bytes.fromhex(artifact.sha256)), dtype=torch.uint8))

    def forward(self, *inputs: torch.Tensor) -> Outputs:
        """The graph's outputs, where the inputs are: one tensor, or a tuple."""
        return self.with_layers(inputs, ())[0]

    def layer_names(self) -> tuple[str, ...]:
        """Values of the main graph that nodes compute from its inputs in floating point, in order."""
        return layer_values(self._graph.graph)

    def with_layers(self, inputs: Inputs, names: Sequence[str]) -> tuple[Outputs, Values]:
        """The graph's outputs, and some of its values.

        Args:
            inputs: In the order of the graph's inputs.
            names: Values of the main graph.

        Raises:
            DataError: The inputs do not fit the graph.
            UsageError: A value is not there.
        """
        wanted = tuple(dict.fromkeys((*self._outputs, *names)))
        if wanted not in self._sessions:
            self._check_names(names)
            run = self._runner.run(self._graph, self._feeds(wanted), wanted, optimize=True)
            self._sessions[wanted] = _Session(run)
        found = [self._run(wanted, feed) for feed in self._parts(inputs)]
        device = inputs[0].device
        values = {
            name: torch.cat([torch.from_numpy(part[name]) for part in found])[: len(inputs[0])].to(device)
            for name in wanted
        }
        outputs = tuple(values[name] for name in self._outputs)
        return outputs[0] if len(outputs) == 1 else outputs, {name: values[name] for name in names}

    def _check_names(self, names: Sequence[str]) -> None:
        known = {str(value.name) for node in self._graph.graph for value in node.outputs}
        for name in names:
            if name not in known:
                raise unknown_layer(name, sorted(known))

    def _parts(self, inputs: Inputs) -> Iterator[Feed]:
        """The feeds that make up a batch: one, or as many as a graph with a fixed batch needs."""
        if len(inputs) != len(self._specs):
            raise DataError(
                f"the teacher takes {len(self._specs)} inputs, {len(inputs)} are given",
                remedy="give the teacher's inputs, in its order",
            )
        first = self._specs[0].shape
        fixed = first[0] if first else None
        size = fixed if isinstance(fixed, int) else len(inputs[0])
        arrays = [t.detach().cpu().contiguous().numpy() for t in inputs]
        for start in range(0, len(inputs[0]), size):
            rows = [array[start : start + size] for array in arrays]
            # A fixed batch is filled up with its last sample, whose answers are cut off again.
            rows = [np.concatenate([r, r[-1:].repeat(size - len(r), 0)]) for r in rows]
            yield {spec.name: row for spec, row in zip(self._specs, rows, strict=True)}

    def _feeds(self, wanted: tuple[str, ...]) -> Iterator[Feed]:
        while True:
            yield self._sessions[wanted].feed

    def _run(self, wanted: tuple[str, ...], feed: Feed) -> dict[str, Array]:
        session = self._sessions[wanted]
        session.feed = feed
        try:
            return next(session.values)
        except Exception:
            del self._sessions[wanted]  # a run that has failed gives nothing more
            raise


class _Session:
    """A run that never ends: it takes what lies in ``feed`` whenever the next values are asked for.

    Args:
        values: The run.
    """

    def __init__(self, values: Iterator[dict[str, Array]]) -> None:
        self.values = values
        self.feed: Feed = {}
