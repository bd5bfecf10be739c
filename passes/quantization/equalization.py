"""Cross-layer equalization: even channels, so that one scale for a tensor serves all of them.

Dividing channel ``i`` of a layer by ``s_i`` and multiplying what the next layer does with it by ``s_i`` leaves the
result as it is wherever positive factors pass between them. With ``s_i = sqrt(r1_i / r2_i)``, where ``r1_i`` and
``r2_i`` are the largest weights that make and that read the channel, both become ``sqrt(r1_i r2_i)``, which gives
every channel the largest share of its tensor's range (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019, §4.1). Layers in a row depend on one another, so pairs are visited until
nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from .channel_paths import Path, follow
from .linear_nodes import in_blocks, is_linear, own_constant, rewrite

Vector = npt.NDArray[np.float64]

_MOST_SWEEPS = 100
_SETTLED = 1e-4
"""Largest change of a factor's logarithm in a sweep that counts as none."""

_LARGEST_FACTOR = 1e6
"""Factors stay below this, so that no weight leaves what single precision holds."""


@dataclass(frozen=True)
class EqualizedPair:
    """Two layers between which channels were evened out.

    Attributes:
        first: The layer that makes the channels.
        second: The layer that reads them.
        channels: How many there are.
        spread_before: The largest weight of a channel over the smallest, in the first layer.
        spread_after: The same afterwards.
    """

    first: str
    second: str
    channels: int
    spread_before: float
    spread_after: float


@dataclass(frozen=True)
class EqualizationReport:
    """What equalization did.

    Attributes:
        pairs: The pairs of layers, in graph order.
        skipped: Layers whose channels stay as they are, with reasons.
        sweeps: How often all pairs were visited.
    """

    pairs: tuple[EqualizedPair, ...]
    skipped: tuple[Skip, ...]
    sweeps: int


def equalize(model: ir.Model) -> EqualizationReport:
    """Even out the channels between layers; the model computes the same, up to float rounding.

    Args:
        model: A clean float32 graph; weights and biases of the main graph are changed in place.

    Returns:
        The pairs, and why other layers have none.
    """
    paths, skipped = [], []
    for node in model.graph:
        if is_linear(node):
            found = follow(node)
            found = _checked(found) if isinstance(found, Path) else found
            paths.append(found) if isinstance(found, Path) else skipped.append(found)
    scales: dict[ir.Node, _Scales] = {}
    for path in paths:
        scales |= {n: _Scales(n) for n in (path.first, path.second) if n is not None and n not in scales}
    before = [_spread(scales[path.first].made()) for path in paths]
    sweeps = _settle(paths, scales)
    for path in paths:
        _scale_shifts(path, scales[path.first].out)
    after = [_spread(scales[path.first].made()) for path in paths]
    for node, factors in scales.items():
        factors.write(node)
    pairs = [
        EqualizedPair(p.first.name or "", (p.second or p.first).name or "", len(scales[p.first].out), b, a)
        for p, b, a in zip(paths, before, after, strict=True)
    ]
    return EqualizationReport(tuple(pairs), tuple(skipped), sweeps)


class _Scales:
    """The factors on a layer's outputs and inputs, and the largest weights under them.

    Attributes:
        out: What each output is multiplied with, shape ``(outputs,)``.
        into: What each input is multiplied with, shape ``(inputs,)``.
    """

    def __init__(self, node: ir.Node) -> None:
        weight = own_constant(node.inputs[1])
        assert weight is not None
        blocks = np.abs(in_blocks(node, weight)).max(axis=3, initial=0.0)
        self._largest: npt.NDArray[np.float64] = blocks.astype(np.float64)
        groups, outputs, inputs = blocks.shape
        self.out: Vector = np.ones(groups * outputs)
        self.into: Vector = np.ones(groups * inputs)

    def made(self) -> Vector:
        """The largest weight of each output."""
        groups, _, inputs = self._largest.shape
        largest = (self._largest * self.into.reshape(groups, 1, inputs)).max(axis=2, initial=0.0)
        return np.asarray(largest.ravel() * self.out)

    def read(self) -> Vector:
        """The largest weight of each input."""
        groups, outputs, _ = self._largest.shape
        largest = (self._largest * self.out.reshape(groups, outputs, 1)).max(axis=1, initial=0.0)
        return np.asarray(largest.ravel() * self.into)

    def write(self, node: ir.Node) -> None:
        """Put the factors into the layer's weight and bias."""
        value = node.inputs[1]
        weight = own_constant(value)
        assert value is not None
        assert weight is not None
        scaled = weight.copy(order="C")
        blocks = in_blocks(node, scaled)
        groups, outputs, inputs, _ = blocks.shape
        out, into = self.out.reshape(groups, outputs, 1, 1), self.into.reshape(groups, 1, inputs, 1)
        blocks[...] = blocks * (out * into)
        rewrite(value, scaled)
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None and (self.out != 1.0).any():
            array = own_constant(bias)
            assert array is not None
            rewrite(bias, array.reshape(-1) * self.out)


def _checked(path: Path) -> Path | Skip:
    """Refuse weights that no finite factor evens out."""
    for layer in (path.first, path.second):
        for value in layer.inputs[1:] if layer is not None else ():
            array = own_constant(value)
            if array is not None and not np.isfinite(array).all():
                text = f"{value.name!r} holds NaN or infinity" if value is not None else ""
                return Skip(path.first.name or "", None, "not-finite", text)
    return path


def _settle(paths: list[Path], scales: dict[ir.Node, _Scales]) -> int:
    """Visit the pairs until nothing moves; how often."""
    for sweep in range(_MOST_SWEEPS):
        moved = max((_even_out(path, scales) for path in paths), default=0.0)
        if moved < _SETTLED:
            return sweep + 1
    return _MOST_SWEEPS


def _even_out(path: Path, scales: dict[ir.Node, _Scales]) -> float:
    """Even out one pair; the largest change of a factor's logarithm."""
    assert path.second is not None
    first, second = scales[path.first], scales[path.second]
    made, features = first.made(), second.read()
    read = np.zeros(len(made))
    np.maximum.at(read, path.channels, features)
    used = (made > 0.0) & (read > 0.0)
    ratio = np.sqrt(np.divide(made, read, out=np.ones(len(made)), where=used))
    wanted = np.clip(first.out / ratio, 1.0 / _LARGEST_FACTOR, _LARGEST_FACTOR)
    change = wanted / first.out
    first.out = wanted
    second.into = second.into / change[path.channels]
    return float(np.abs(np.log(change)).max(initial=0.0))


def _scale_shifts(path: Path, out: Vector) -> None:
    """Constants that are added on the way to the second layer are biases of the channels."""
    for value, axis, channels in path.shifts:
        array = own_constant(value)
        assert array is not None
        shape = [-1 if a == axis else 1 for a in range(array.ndim)]
        rewrite(value, array * out[channels].reshape(shape))


def _spread(largest: Vector) -> float:
    used = largest[largest > 0.0]
    return float(used.max() / used.min()) if used.size else 1.0
