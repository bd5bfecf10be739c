"""Dynamic dimensions made numbers, for providers that take no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import onnx_ir as ir

from ..core import ModelArtifact, infer_shapes
from ..core.errors import UsageError
from ..core.tensors import TensorSpec

_NO_SHAPES: Mapping[str, Sequence[int]] = MappingProxyType({})


def open_dims(model: ModelArtifact) -> tuple[str, ...]:
    """The dimensions of inputs that are no number, in words: ``input x, axis 0: 'N'``."""
    return tuple(line for spec in model.inputs for line in _open(spec))


def fix_shapes(
    model: ModelArtifact, dims: Mapping[str, int], inputs: Mapping[str, Sequence[int]] = _NO_SHAPES
) -> ModelArtifact:
    """Give dimensions of a model's inputs their sizes, and infer every other shape again.

    A dimension has one size wherever its name stands, inputs, outputs and inner graphs alike. Nothing else changes.

    Args:
        model: The model; left as it is.
        dims: Sizes by the name of a dimension, such as ``{"N": 1}``.
        inputs: Whole shapes by the name of an input.

    Raises:
        UsageError: A name is unknown, a size is below 1, or two sizes contradict each other.
        ModelError: The graph does not work at these sizes.
    """
    graph = model.load()
    _refuse_unknown(model, dims, inputs)
    sizes = _sizes(model, dims, inputs)
    fix_graph(graph, sizes, inputs)
    return ModelArtifact.of(graph)


def fix_graph(
    model: ir.Model, sizes: Mapping[str, int], inputs: Mapping[str, Sequence[int]] = _NO_SHAPES
) -> None:
    """The same on a graph in memory, of names and sizes that agree with each other.

    Args:
        model: Changed in place.
        sizes: Sizes by the name of a dimension.
        inputs: Whole shapes by the name of an input.

    Raises:
        ModelError: The graph does not work at these sizes.
    """
    for scope in (model.graph, *model.graph.subgraphs()):
        for value in (*scope.inputs, *scope.outputs):
            _substitute(value, sizes)
    for value in model.graph.inputs:
        if (given := inputs.get(value.name or "")) is not None:
            value.shape = ir.Shape(list(given))
    # What an output declares is kept by inference; where that is no number, inference may know it now.
    declared = {v: v.shape for v in model.graph.outputs if v.shape is not None and not v.shape.is_static()}
    for value in declared:
        value.shape = None
    infer_shapes(model)
    for value, shape in declared.items():
        value.shape = _merged(shape, value.shape)


def _open(spec: TensorSpec) -> list[str]:
    if spec.shape is None:
        return [f"input {spec.name}: of unknown rank"]
    return [
        f"input {spec.name}, axis {axis}: {'no name' if size is None else repr(size)}"
        for axis, size in enumerate(spec.shape)
        if not isinstance(size, int)
    ]


def _refuse_unknown(
    model: ModelArtifact, dims: Mapping[str, int], inputs: Mapping[str, Sequence[int]]
) -> None:
    known = {size for spec in model.inputs for size in spec.shape or () if isinstance(size, str)}
    for name in dims:
        if name not in known:
            told = ", ".join(sorted(known)) or "none has a name"
            raise UsageError(f"no input has a dimension {name!r}", remedy=f"dimensions: {told}")
    names = [spec.name for spec in model.inputs]
    for name in inputs:
        if name not in names:
            raise UsageError(f"the model has no input {name!r}", remedy=f"inputs: {', '.join(names)}")


def _sizes(
    model: ModelArtifact, dims: Mapping[str, int], inputs: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """The size of each named dimension, from those given by name and from whole shapes."""
    sizes: dict[str, int] = {}
    for name, size in dims.items():
        sizes[name] = _checked(size, f"dimension {name!r}")
    for spec in model.inputs:
        if spec.name not in inputs:
            continue
        shape = [_checked(size, f"input {spec.name}") for size in inputs[spec.name]]
        if spec.shape is not None and len(spec.shape) != len(shape):
            raise UsageError(
                f"input {spec.name} has {len(spec.shape)} dimensions, and {len(shape)} are given",
                remedy=f"it is declared as {spec}",
            )
        for axis, (declared, size) in enumerate(zip(spec.shape or (), shape, strict=False)):
            if declared is not None and _agreed(declared, size, sizes) != size:
                raise UsageError(
                    f"input {spec.name}, axis {axis}, is to be {size}, and {_agreed(declared, size, sizes)} already",
                    remedy=f"it is declared as {spec}; a dimension has one size wherever its name stands",
                )
    return sizes


def _agreed(declared: int | str, size: int, sizes: dict[str, int]) -> int:
    """What a declared dimension is: its number, the size its name has, or the size that it gets now."""
    return declared if isinstance(declared, int) else sizes.setdefault(declared, size)


def _checked(size: int, what: str) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"{what} cannot have size {size!r}", remedy="give whole numbers, 1 or more")
    return size


def _substitute(value: ir.Value, sizes: Mapping[str, int]) -> None:
    if value.shape is not None and not value.is_initializer():
        names = [d if isinstance(d, int) else d.value for d in value.shape]
        value.shape = ir.Shape([sizes.get(d, d) if isinstance(d, str) else d for d in names])


def _merged(declared: ir.Shape, inferred: ir.Shape | None) -> ir.Shape:
    """The inferred numbers, and what was declared where there is none."""
    if inferred is None or len(inferred) != len(declared):
        return declared
    pairs = zip(declared, inferred, strict=True)
    return ir.Shape([new if isinstance(new, int) and not isinstance(old, int) else old for old, new in pairs])
