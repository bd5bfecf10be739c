"""A builder of small graphs with seeded weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from sardonyx.core.shapes import infer_shapes


class Net:
    """Builds a graph node by node; every method returns the value it made."""

    def __init__(
        self,
        shape: Sequence[int | str] = ("N", 3, 8, 8),
        opset: int = 18,
        seed: int = 0,
        dtype: ir.DataType = ir.DataType.FLOAT,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.x = ir.val("x", dtype, list(shape))
        self.nodes: list[ir.Node] = []
        self.weights: list[ir.Value] = []
        self.widths: dict[str, int] = {"x": int(shape[1]) if not isinstance(shape[1], str) else 0}
        self.opset = opset

    def const(self, array: np.ndarray, name: str | None = None) -> ir.Value:
        name = name or f"w{len(self.weights)}"
        self.weights.append(ir.val(name, const_value=ir.tensor(array, name=name)))
        return self.weights[-1]

    def rand(self, *shape: int, name: str | None = None) -> ir.Value:
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 4
        return self.floats(self.random.standard_normal(shape) / np.sqrt(fan), name)

    def floats(self, array: np.ndarray | float, name: str | None = None) -> ir.Value:
        """A constant of the network's float type."""
        return self.const(np.asarray(array).astype(self.dtype.numpy()), name)

    def ints(self, *values: int) -> ir.Value:
        return self.const(np.asarray(values, dtype=np.int64))

    def op(self, kind: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: object) -> ir.Value:
        return self.ops(kind, *inputs, outputs=outputs, **attributes)[0]

    def ops(self, kind: str, *inputs: ir.Value | None, outputs: int, **attributes: object) -> list[ir.Value]:
        """A node of several outputs."""
        node = ir.node(kind, list(inputs), attributes, num_outputs=outputs, name=f"n{len(self.nodes)}")
        for index, value in enumerate(node.outputs):
            value.name = f"v{len(self.nodes)}" + (f"_{index}" if index else "")
        self.nodes.append(node)
        return list(node.outputs)

    def listed(
        self, kind: str, x: ir.Value, since: int, outputs: int = 1, **attributes: object
    ) -> list[ir.Value]:
        """A node whose first keyword is a list: an attribute before the opset ``since``, an input from it on."""
        name, numbers = next(iter(attributes.items()))
        if self.opset < since:
            return self.ops(kind, x, outputs=outputs, **attributes)
        rest = {key: value for key, value in attributes.items() if key != name}
        return self.ops(kind, x, self.ints(*numbers), outputs=outputs, **rest)

    def squeeze(self, x: ir.Value, *axes: int) -> ir.Value:
        return self.listed("Squeeze", x, 13, axes=axes)[0]

    def unsqueeze(self, x: ir.Value, *axes: int) -> ir.Value:
        return self.listed("Unsqueeze", x, 13, axes=axes)[0]

    def mean(self, x: ir.Value, *axes: int, keepdims: int = 1) -> ir.Value:
        return self.listed("ReduceMean", x, 18, axes=axes, keepdims=keepdims)[0]

    def split(self, x: ir.Value, *sizes: int, axis: int = 1) -> list[ir.Value]:
        return self.listed("Split", x, 13, outputs=len(sizes), split=sizes, axis=axis)

    def pad(self, x: ir.Value, *pads: int) -> ir.Value:
        return self.listed("Pad", x, 11, pads=pads)[0]

    def clip(self, x: ir.Value, low: float, high: float) -> ir.Value:
        if self.opset < 11:
            return self.op("Clip", x, min=low, max=high)
        return self.op("Clip", x, self.floats(low), self.floats(high))

    def slice(self, x: ir.Value, start: int, end: int, axis: int = 1) -> ir.Value:
        if self.opset < 10:
            return self.op("Slice", x, starts=[start], ends=[end], axes=[axis])
        return self.op("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def conv(self, x: ir.Value, width: int, k: int = 3, group: int = 1, **attributes: object) -> ir.Value:
        weight = self.rand(width, self.widths[x.name] // group, k, k)
        y = self.op("Conv", x, weight, self.rand(width), group=group, pads=[k // 2] * 4, **attributes)
        self.widths[y.name] = width
        return y

    def act(self, kind: str, x: ir.Value, **attributes: object) -> ir.Value:
        y = self.op(kind, x, **attributes)
        self.widths[y.name] = self.widths[x.name]
        return y

    def relu(self, x: ir.Value) -> ir.Value:
        return self.act("Relu", x)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        y = self.op("Add", a, b)
        self.widths[y.name] = self.widths[a.name]
        return y

    def concat(self, *values: ir.Value) -> ir.Value:
        y = self.op("Concat", *values, axis=1)
        self.widths[y.name] = sum(self.widths[v.name] for v in values)
        return y

    def head(self, x: ir.Value, classes: int = 5) -> ir.Value:
        flat = self.op("Flatten", self.act("GlobalAveragePool", x))
        return self.op("Gemm", flat, self.rand(classes, self.widths[x.name]), self.rand(classes), transB=1)

    def model(self, *outputs: ir.Value) -> ir.Model:
        for value in outputs:
            value.dtype = self.dtype
        graph = ir.Graph(
            [self.x],
            list(outputs),
            nodes=self.nodes,
            initializers=self.weights,
            opset_imports={"": self.opset},
            name="net",
        )
        model = ir.Model(graph, ir_version=9)
        infer_shapes(model)
        return model
