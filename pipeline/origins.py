"""Which parameter of a module each initializer of its graph is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..core.tensors import Array
from ..passes.constants import all_initializers

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Origin:
    """The parameter that an initializer was made from.

    Attributes:
        parameter: Its name in the module.
        axes: Which axis of the parameter each axis of the initializer is.
    """

    parameter: str
    axes: tuple[int, ...]


def find_origins(model: ir.Model, module: nn.Module) -> dict[str, Origin]:
    """Find the parameter of each initializer that is one.

    Exporters keep a parameter's name where they keep its form. Where they transpose it for good (the weight of a linear
    layer over tokens), the new tensor is known by its contents, if one parameter alone has them.

    Args:
        model: The graph, with the module's weights.
        module: The module that it was exported from, or that holds the trainable graph.

    Returns:
        The origin of each initializer, by name.
    """
    shapes = {own: tuple(p.shape) for own, p in module.named_parameters()}
    names = _names(module)
    found, rest = {}, []
    for value in all_initializers(model.graph):
        name, tensor = value.name or "", value.const_value
        own = names.get(name)
        if tensor is None:
            continue
        if own is not None and tuple(tensor.shape.numpy()) == shapes[own]:
            found[name] = Origin(own, tuple(range(len(shapes[own]))))
        elif tensor.dtype.is_floating_point() and len(tensor.shape) == 2:
            rest.append((name, tensor))
    known = {origin.parameter for origin in found.values()}
    matrices = {
        own: _array(p) for own, p in module.named_parameters() if rest and own not in known and p.ndim == 2
    }
    for name, tensor in rest:
        alike = list(_equal(tensor.numpy(), matrices))
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def _equal(content: Array, matrices: dict[str, npt.NDArray[Any]]) -> Iterator[Origin]:
    for own, matrix in matrices.items():
        if content.shape == matrix.shape[::-1] and np.array_equal(content, matrix.T):
            yield Origin(own, (1, 0))


def _array(parameter: nn.Parameter) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = parameter.detach().cpu().float().numpy()
    return array


def _names(module: nn.Module) -> dict[str, str]:
    """The name in the module of each parameter, by its name in the graph."""
    from ..training.graph import TrainableGraph

    own = [name for name, _ in module.named_parameters()]
    parts = [(at, part) for at, part in module.named_modules() if isinstance(part, TrainableGraph)]
    if not parts:
        return {name: name for name in own}
    places = {
        f"{at}.{name}" if at else name: initializer
        for at, part in parts
        for name, initializer in part.initializer_names.items()
    }
    return {places[name]: name for name in own if name in places}
