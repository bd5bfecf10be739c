"""The operator cases that the onnx wheel generates, in three forms.

*given*, as they are; *stored*, all inputs but one stored as constants; *between*, stored, with a matrix product before
what is fed and one behind every output, so that there are neurons which run through the operator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx_sessions import Held
from sardonyx.calib_data import CalibrationData

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
_WIDEST = 1024
Form = Literal["given", "stored", "between"]


@dataclass(frozen=True)
class Subject:
    """A case in one form.

    Attributes:
        case: Its name.
        form: The form.
        model: The message.
        feeds: An input for each run, by name.
        expected: The outputs that the case states for each feed; none where the form computes something else.
    """

    case: str
    form: Form
    model: onnx.ModelProto
    feeds: Sequence[dict[str, Any]]
    expected: Sequence[list[Any]] = ()

    @property
    def summands(self) -> int:
        """How many products or elements one element of the outputs is the sum of, at most, by one operator."""
        held = [v for feed in self.feeds for v in feed.values() if isinstance(v, Held)]
        shapes = [v.shape for v in held] + [tuple(t.dims) for t in self.model.graph.initializer]
        axes = [max(shape, default=1) for shape in shapes]
        kernels = [math.prod(shape[1:]) for shape in shapes if len(shape) > 2] if _has_kernel(self) else []
        return max((*axes, *kernels), default=1)

    @property
    def samples(self) -> CalibrationData | None:
        """The first feed as samples; None where it cannot be, since inputs differ in the first axis or are no arrays."""
        if not self.feeds or not all(isinstance(v, Held) and v.shape for v in self.feeds[0].values()):
            return None
        arrays = {name: value.numpy() for name, value in self.feeds[0].items()}
        lengths = {len(array) for array in arrays.values()}
        is_plain = all(array.dtype.kind in "fiub" for array in arrays.values())
        return (
            CalibrationData.from_arrays(arrays)
            if is_plain and len(lengths) == 1 and 0 not in lengths
            else None
        )


def _has_kernel(subject: Subject) -> bool:
    return any("Conv" in node.op_type for node in subject.model.graph.node)


def fed_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs without a stored value; files of an old IR version list stored ones among the inputs."""
    has_value = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in has_value]


def given(case: Any) -> Subject:
    """The case as it is."""
    inputs = fed_inputs(case.model)
    feeds = [
        {v.name: _fed(v, x) for v, x in zip(inputs, values, strict=True)} for values, _ in case.data_sets
    ]
    outputs = case.model.graph.output
    expected = [[_fed(v, x) for v, x in zip(outputs, wanted, strict=True)] for _, wanted in case.data_sets]
    return Subject(case.name, "given", case.model, feeds, expected)


def _fed(value: onnx.ValueInfoProto, content: Any) -> Any:
    if isinstance(content, list):
        return [Held.of(item) for item in content]
    kind = value.type.tensor_type.elem_type
    return None if content is None else Held.of(content, ir.DataType(kind) if kind else None)


def stored(subject: Subject) -> Subject | None:
    """All tensors but the first of floats as constants; None where nothing is left to store."""
    if not subject.feeds:
        return None
    feed = subject.feeds[0]
    tensors = {name: value for name, value in feed.items() if isinstance(value, Held)}
    first = next((name for name, value in tensors.items() if value.dtype in FLOATS and value.shape), None)
    fixed = {name: value for name, value in tensors.items() if name != first}
    if first is None or not fixed:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(subject.model)
    for name, value in fixed.items():
        model.graph.initializer.append(_tensor(name, value))
    left = [v for v in model.graph.input if v.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(left)
    model.ir_version = max(model.ir_version, 4)
    left_over = {n: v for n, v in feed.items() if n not in fixed}
    return Subject(subject.case, "stored", model, [left_over], subject.expected[:1])


def _tensor(name: str, value: Held) -> onnx.TensorProto:
    if isinstance(value.content, tuple):
        words = [word.encode() for word in value.content]
        return onnx.TensorProto(name=name, dims=value.shape, data_type=value.dtype, string_data=words)
    return onnx.TensorProto(name=name, dims=value.shape, data_type=value.dtype, raw_data=value.content)


def between(subject: Subject, axis: int) -> Subject | None:
    """Neurons along an axis of what is fed and of what comes out; None where no float has such an axis."""
    base = stored(subject) or subject
    feed = dict(base.feeds[0]) if base.feeds else {}
    name = next((n for n, v in feed.items() if isinstance(v, Held) and _has_axis(v, axis)), None)
    if (
        name is None
        or len(feed) > 1
        or any(o.domain == "" and o.version < 7 for o in base.model.opset_import)
    ):
        return None
    graph = _Between(base.model, axis)
    graph.feed(name, feed[name])
    graph.read()
    return Subject(subject.case, "between", graph.model, [{graph.fed: feed[name]}])


def _has_axis(value: Held, axis: int) -> bool:
    """Whether neurons can run along the axis; the product that mixes them is a square matrix."""
    if len(value.shape) <= (2 if axis == 1 else 1) or math.prod(value.shape) == 0:
        return False
    return value.dtype in FLOATS and value.shape[axis] <= _WIDEST


class _Between:
    """A copy of a model that gets a matrix product at both ends, along one axis."""

    fed = "conforming.fed"

    def __init__(self, model: onnx.ModelProto, axis: int) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.model.ir_version = max(model.ir_version, 4)
        self.axis, self.random = axis, np.random.default_rng(0)
        if not any(o.domain in {"", "ai.onnx"} for o in model.opset_import):
            self.model.opset_import.append(helper.make_opsetid("", 17))

    def feed(self, name: str, value: Held) -> None:
        """Mix what is fed: weighted means of it, which stay where an operator is defined."""
        graph, width = self.model.graph, value.shape[self.axis]
        weight = np.eye(width) + 0.2 * self.random.random((width, width))
        weight /= weight.sum(axis=0)
        nodes = self._mixed(self.fed, name, len(value.shape), weight, value.dtype)
        rest = list(graph.node)
        del graph.node[:], graph.input[:]
        graph.node.extend([*nodes, *rest])
        graph.input.append(helper.make_tensor_value_info(self.fed, value.dtype, value.shape))

    def read(self) -> None:
        """Mix every float output into three numbers; others stay as they are."""
        graph = self.model.graph
        for index, value in enumerate(list(graph.output)):
            kind = value.type.tensor_type
            sizes = [d.dim_value for d in kind.shape.dim]
            lowest = 3 if self.axis == 1 else 1
            if kind.elem_type not in FLOATS or len(sizes) < lowest or not all(sizes):
                continue
            weight = self.random.standard_normal((sizes[self.axis], 3))
            name = f"conforming.read{index}"
            graph.node.extend(self._mixed(value.name, name, len(sizes), weight, ir.DataType(kind.elem_type)))
            sizes[self.axis] = 3
            graph.output[index].CopyFrom(helper.make_tensor_value_info(name, kind.elem_type, sizes))

    def _mixed(
        self, source: str, result: str, rank: int, weight: np.ndarray, dtype: ir.DataType
    ) -> list[onnx.NodeProto]:
        name = f"{result}.weight"
        held = Held.of(weight.astype(dtype.numpy()), dtype)
        self.model.graph.initializer.append(_tensor(name, held))
        if self.axis == -1 or rank == 2:
            return [helper.make_node("MatMul", [source, name], [result], f"{result}.mix")]
        swap = list(range(rank))
        swap[1], swap[-1] = swap[-1], swap[1]
        return [
            helper.make_node("Transpose", [source], [f"{result}.there"], f"{result}.to", perm=swap),
            helper.make_node("MatMul", [f"{result}.there", name], [f"{result}.mixed"], f"{result}.mix"),
            helper.make_node("Transpose", [f"{result}.mixed"], [result], f"{result}.from", perm=swap),
        ]
