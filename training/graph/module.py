"""A graph as a torch module: its initializers are the parameters, and go back into the same graph."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as stock
import torch
from torch import nn

from ...core.errors import ModelError, UsageError
from ..batches import Inputs, Outputs
from ..layers import Values, unknown_layer
from .compiler import Compiler, Known, Read
from .dtypes import CARRIERS, to_array, to_torch
from .plan import Mode
from .program import Program, Schedule, make_schedule
from .values import layer_values
from .weights import (
    Role,
    Weight,
    default_choice,
    find_weights,
    host_values,
    role_of,
    shared_statistic,
    torch_names,
)


@dataclass(frozen=True)
class _Compiled:
    """What no training changes; copies of a module share it.

    Attributes:
        source: The graph as it was given.
        program: Its steps.
        slots: The slot of each value of the main graph, by name.
        externals: For each external of the program the name of an attribute of the module, or a host tensor.
        names: The torch name of each weight, by its name in the graph.
        layers: The values that are layers, by name.
        schedules: Schedules by the slots that are wanted.
    """

    source: ir.Model
    program: Program
    slots: Mapping[str, int]
    externals: tuple[str | torch.Tensor, ...]
    names: Mapping[str, str]
    layers: tuple[str, ...]
    schedules: dict[tuple[int, ...], Schedule] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Compiled:
        return self

    def schedule(self, names: Iterable[str]) -> Schedule:
        """The steps that some values need."""
        names = tuple(names)
        unknown = [name for name in names if name not in self.slots]
        if unknown:
            raise UsageError(
                f"the graph has no value {unknown[0]!r}", remedy="name outputs of nodes of the main graph"
            )
        wanted = tuple(self.slots[name] for name in names)
        if wanted not in self.schedules:
            self.schedules[wanted] = make_schedule(self.program.steps, wanted)
        return self.schedules[wanted]


class TrainableGraph(nn.Module):
    """Executes an ONNX graph in torch, differentiably; its weights are the parameters.

    What is trained is said by ``is_trained``; settings such as the bounds of a Clip and statistics of a
    BatchNormalization never are. They are buffers, as integers are. Parameters keep their type. The graph given
    is read, never changed.

    Args:
        model: The graph; function calls are inlined in a copy.
        train_statistics: In training mode, BatchNormalization uses the batch's statistics and moves the running
            ones, which are written back. Otherwise they are frozen; scale and bias are trained either way.
        dropout: In training mode, Dropout drops.
        is_trained: Which tensors are parameters; :func:`~sardonyx.training.graph.weights.default_choice` where
            none is given. Settings, statistics and other types than float are never asked about.

    Raises:
        ModelError: A node cannot be computed: its operator, its version or its type has no function.
    """

    def __init__(
        self,
        model: ir.Model,
        *,
        train_statistics: bool = False,
        dropout: bool = False,
        is_trained: Callable[[Weight], bool] = default_choice,
    ) -> None:
        super().__init__()
        self.train_statistics, self.dropout = train_statistics, dropout
        own = {weight.name for weight in find_weights(model)}
        graph = _without_functions(model)
        versions = dict(graph.graph.opset_imports)
        weights = list(find_weights(graph))
        _check(weights, train_statistics)
        roles = {w.value: role_of(w, versions, lambda w: w.name in own and is_trained(w)) for w in weights}
        fixed = {w.value: w.tensor for w in weights if roles[w.value] is Role.HELD}
        known = Known(versions, fixed, frozenset(roles), host_values(graph.graph, versions, fixed))
        compiler = Compiler(graph.graph, known)
        program = compiler.compile()
        names = torch_names(weights)
        places: dict[Read, str | torch.Tensor] = {}
        for weight in weights:
            places |= self._hold(names[weight.name], weight, roles[weight.value], compiler.externals)
        externals = tuple(_place(places, read) for read in compiler.externals)
        kept = {w.name: names[w.name] for w in weights if roles[w.value] is not Role.HELD}
        outside = {value: slot for (value, _), slot in compiler.externals.items()}
        slots = {v.name: slot for v, slot in (outside | compiler.slots).items() if v.name}
        layers = layer_values(graph.graph)
        self._compiled = _Compiled(model, program, slots, externals, kept, layers)
        self.input_names = tuple(v.name or "" for v in graph.graph.inputs if not v.is_initializer())
        self.output_names = tuple(v.name or "" for v in graph.graph.outputs)

    @property
    def initializer_names(self) -> dict[str, str]:
        """The name in the graph of each trained tensor and each statistic, by its name in this module."""
        return {own: name for name, own in self._compiled.names.items()}

    def forward(self, *inputs: Any) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Execute the graph.

        Args:
            inputs: A tensor for each input, in the graph's order.

        Returns:
            The output, or a tuple of the outputs in the graph's order where there are several.

        Raises:
            UsageError: The number of inputs is another one.
            ModelError: A node cannot compute these inputs.
        """
        outputs = self._execute(inputs, None)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run(self, inputs: Sequence[Any], taps: Iterable[str]) -> dict[str, Any]:
        """Execute the graph as far as some values need it.

        Args:
            inputs: A tensor for each input, in the graph's order.
            taps: Names of values of the main graph: outputs of nodes, inputs, weights or outputs of the graph.

        Returns:
            The value of each name. A quantized value between QuantizeLinear and DequantizeLinear is of a float type.

        Raises:
            UsageError: There is no such value, or the number of inputs is another one.
            ModelError: A node cannot compute these inputs.
        """
        names = tuple(taps)
        return dict(zip(names, self._execute(inputs, self._compiled.schedule(names)), strict=True))

    def layer_names(self) -> tuple[str, ...]:
        """Values of the main graph that nodes compute from its inputs in floating point, in order."""
        return self._compiled.layers

    def with_layers(self, inputs: Inputs, names: Sequence[str]) -> tuple[Outputs, Values]:
        """What the graph gives, and some of its values on the way: its layers, as distillation compares them.

        Args:
            inputs: A tensor for each input, in the graph's order.
            names: Some of :meth:`layer_names`.

        Raises:
            UsageError: There is no such layer, or the number of inputs is another one.
            ModelError: A node cannot compute these inputs.
        """
        for name in names:
            if name not in self._compiled.layers:
                raise unknown_layer(name, self._compiled.layers)
        wanted = self._compiled.schedule((*self.output_names, *names))
        found = self._execute(inputs, wanted)
        outputs, values = found[: len(self.output_names)], found[len(self.output_names) :]
        return outputs[0] if len(outputs) == 1 else tuple(outputs), dict(zip(names, values, strict=True))

    def write_back(self) -> ir.Model:
        """A copy of the graph with the weights as they are now; nothing else differs.

        Tensors that were not changed are shared with the graph given.
        """
        model = self._compiled.source.clone()
        for weight in find_weights(model):
            own = self._compiled.names.get(weight.name)
            if own is not None:
                _replace(weight, getattr(self, own))
        return model

    def _hold(
        self, name: str, weight: Weight, role: Role, reads: Container[Read]
    ) -> dict[Read, str | torch.Tensor]:
        """Put a tensor where its role belongs, and say where it is found: by name, or in host memory for good."""
        here, on_host = (weight.value, False), (weight.value, True)
        places: dict[Read, str | torch.Tensor] = (
            {on_host: to_torch(weight.tensor)} if on_host in reads else {}
        )
        if role is Role.TRAINED:
            self.register_parameter(name, nn.Parameter(to_torch(weight.tensor)))
        elif role is Role.STATISTICS or here in reads:
            self.register_buffer(name, to_torch(weight.tensor), persistent=role is Role.STATISTICS)
        return {here: name, **places}

    def _execute(self, inputs: Sequence[Any], schedule: Schedule | None) -> list[Any]:
        if len(inputs) != len(self.input_names):
            raise UsageError(
                f"the graph takes {len(self.input_names)} inputs, {len(inputs)} were given",
                remedy=f"give one tensor for each of: {', '.join(self.input_names)}",
            )
        externals = [getattr(self, e) if isinstance(e, str) else e for e in self._compiled.externals]
        device = next((t.device for t in (*inputs, *externals) if _is_elsewhere(t)), None)
        mode = Mode(self.training and self.train_statistics, self.training and self.dropout, device)
        return self._compiled.program.run(inputs, externals, mode, schedule)


def _without_functions(model: ir.Model) -> ir.Model:
    if not model.functions:
        return model
    copy = model.clone()
    stock.InlinePass()(copy)
    return copy


def _check(weights: list[Weight], train_statistics: bool) -> None:
    for weight in weights:
        if weight.tensor.dtype not in CARRIERS:
            raise ModelError(
                f"tensor {weight.name!r} is of type {weight.tensor.dtype.name.lower()}, which torch does not have",
                remedy="take the part of the graph that reads it out",
            )
    shared = shared_statistic(weights) if train_statistics else None
    if shared is not None:
        raise ModelError(
            f"the statistic {shared.name!r} is read by several nodes and cannot move for one of them",
            remedy="run the cleanup pass first, which separates them, or do not train statistics",
        )


def _place(places: Mapping[Read, str | torch.Tensor], read: Read) -> str | torch.Tensor:
    if read not in places:
        raise ModelError(
            f"value {read[0].name!r} is read before a node makes it",
            remedy="sort the nodes: run the cleanup pass",
        )
    return places[read]


def _is_elsewhere(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type != "cpu"


def _replace(weight: Weight, now: torch.Tensor) -> None:
    """Put a tensor into the graph, unless it is what is there."""
    before = weight.tensor
    array = to_array(now, before.dtype)
    if np.array_equal(array.reshape(-1).view(np.uint8), before.numpy().reshape(-1).view(np.uint8)):
        return
    made = ir.Tensor(array, dtype=before.dtype, name=before.name, doc_string=before.doc_string)
    if not weight.is_node:
        weight.value.const_value = made
        return
    node = weight.value.producer()
    if node is None:
        raise AssertionError("a Constant's value has a producer")
    if "value" not in node.attributes:
        raise ModelError(
            f"the weight {weight.name!r} is a list in a Constant node", remedy="run sardonyx's cleanup first"
        )
    node.attributes["value"] = ir.AttrTensor("value", made)
