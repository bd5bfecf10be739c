"""What each layer reads over the samples, in the mean and together, before and behind its input's Q/DQ pair.

Samples are run batch by batch, and of each batch some positions are taken by a seeded choice: about
:data:`ROWS_PER_INPUT` for each input that one output sums over, over all samples. What is kept does not grow with the
samples, and layers are visited in stretches whose moments fit the memory cap together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.finite import check_finite
from ...calib_data.runner import Runner
from ...core.tensors import Array
from ..folding import constant
from ..patches import Window, patches
from .linear_nodes import in_blocks, is_linear
from .parameters import ActivationParameters

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

ROWS_PER_INPUT = 8
"""Positions that are looked at, for each input of a layer."""

FEWEST_ROWS, MOST_ROWS = 16384, 32768
"""Positions of one layer over all samples, whatever its inputs."""

_BATCH = 32
_CHUNK_BYTES = 32 << 20
"""Rows that are held at once."""

_GRAM_COPIES = 6
"""Rounding holds so many matrices of a Gram's size at once."""


@dataclass(frozen=True)
class InputMoments:
    """What a layer reads, as means over positions.

    Attributes:
        mean: In the float model, shape ``(groups, inputs)``.
        mean_restored: Behind the Q/DQ pair of the input, of the same shape.
        power: Mean squares behind the pair, of the same shape.
        gram: Second moments behind the pair, shape ``(groups, inputs, inputs)``; None where they were not asked for
            or do not fit the memory cap.
        rows: How many positions.
    """

    mean: Matrix
    mean_restored: Matrix
    power: Matrix
    gram: Matrix | None
    rows: int

    def centred(self) -> Matrix:
        """Second moments about the mean, which is what is left where a bias takes up the mean error."""
        assert self.gram is not None
        return self.gram - self.mean_restored[:, :, None] * self.mean_restored[:, None, :]


def has_rows(node: ir.Node) -> bool:
    """Whether a layer is a matrix that multiplies rows of its input."""
    weight = constant(node.inputs[1])
    return is_linear(node) and weight is not None and (node.op_type == "Conv" or weight.ndim == 2)


def layer_inputs(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    parameters: Mapping[ir.Value, ActivationParameters],
    data: CalibrationData,
    runner: Runner,
    *,
    with_gram: bool,
    memory_bytes: int,
    seed: int = 0,
) -> Iterator[tuple[ir.Node, InputMoments]]:
    """Visit layers, in their order, each with what it reads.

    Args:
        model: The float graph.
        nodes: Layers of it for which :func:`has_rows` holds.
        parameters: How each layer's first input is quantized.
        data: The samples.
        runner: Executes the graph.
        with_gram: Whether second moments are wanted.
        memory_bytes: Cap on what is held at once.
        seed: Seed of the choice of positions.

    Yields:
        A layer and its moments; they are forgotten once the next stretch of layers begins.

    Raises:
        DataError: A batch or a value is not finite.
    """
    for stretch in _stretches(nodes, parameters, memory_bytes, with_gram):
        tallies = {tally.key: tally for tally in stretch.values()}  # layers that read the same share one
        _visit(model, list(tallies.values()), data, runner, memory_bytes, seed)
        moments = {key: tally.moments() for key, tally in tallies.items()}
        for node, tally in stretch.items():
            yield node, moments[tally.key]


class _Tally:
    """Sums over the positions of one layer.

    Attributes:
        source: Name of the value that the layer reads.
        inputs: How many inputs one output sums over.
        groups: How many groups read inputs of their own.
        held_bytes: What the sums take.
    """

    def __init__(
        self, node: ir.Node, parameters: ActivationParameters, memory_bytes: int, with_gram: bool
    ) -> None:
        value, weight = node.inputs[0], constant(node.inputs[1])
        assert value is not None
        assert weight is not None
        self.source = value.name or ""
        self._window = Window.of(node, weight.shape) if node.op_type == "Conv" else None
        self._flipped = node.op_type == "Gemm" and node.attributes.get_int("transA", 0) == 1
        self.groups, _, channels, taps = in_blocks(node, weight).shape
        self.inputs: int = channels * taps
        self._parameters = parameters
        gram_bytes = 8 * self.groups * self.inputs**2
        self._with_gram = with_gram and gram_bytes * _GRAM_COPIES <= memory_bytes
        self.held_bytes = gram_bytes if self._with_gram else 0
        self._sums: tuple[Matrix, ...] = ()
        self._rows = 0

    @property
    def key(self) -> tuple[str, Window | None, bool]:
        """What two layers have in common that read the same rows."""
        return self.source, self._window, self._flipped

    @property
    def wanted_rows(self) -> int:
        """How many positions to look at, over all samples."""
        return min(max(ROWS_PER_INPUT * self.inputs, FEWEST_ROWS), MOST_ROWS)

    def update(self, array: Array, rows: int, random: np.random.Generator) -> None:
        """Take at most so many positions of a batch in."""
        for part in self._parts(array, rows, random):
            restored = self._parameters.restored(part)
            across = restored.transpose(1, 2, 0)
            sums = [part.sum(0, np.float64), restored.sum(0, np.float64), (restored**2).sum(0, np.float64)]
            if self._with_gram:
                sums.append((across @ across.transpose(0, 2, 1)).astype(np.float64))
            if not self._sums:
                self._sums = tuple(np.zeros_like(part) for part in sums)
            for total, part_sum in zip(self._sums, sums, strict=True):
                total += part_sum
            self._rows += len(part)

    def _parts(self, array: Array, rows: int, random: np.random.Generator) -> Iterator[Rows]:
        """The chosen rows in parts, shape ``(rows, groups, inputs)``."""
        step = max(1, _CHUNK_BYTES // (4 * self.groups * self.inputs))
        if self._window is None:
            flat = (array.T if self._flipped else array).reshape(-1, self.inputs)
            chosen = _choose(len(flat), rows, random)
            for start in range(0, len(chosen), step):
                yield flat[chosen[start : start + step], None].astype(np.float32)
            return
        sizes = (len(array), *self._window.output_size(array.shape[2:]))
        chosen = _choose(math.prod(sizes), rows, random)
        for start in range(0, len(chosen), step):
            places = [np.asarray(p, np.int64) for p in np.unravel_index(chosen[start : start + step], sizes)]
            first, last = int(places[0][0]), int(places[0][-1])  # in order, so that few samples are padded
            near = (places[0] - first, *places[1:])
            yield patches(array[first : last + 1], self._window, near)

    def moments(self) -> InputMoments:
        """What was seen, as means; to be asked for once."""
        for part in self._sums:
            part /= max(self._rows, 1)
        mean, restored, power, *gram = self._sums
        return InputMoments(mean, restored, power, gram[0] if gram else None, self._rows)


def _choose(count: int, most: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.arange(count) if count <= most else np.sort(random.choice(count, most, replace=False))


def _stretches(
    nodes: Sequence[ir.Node],
    parameters: Mapping[ir.Value, ActivationParameters],
    memory_bytes: int,
    with_gram: bool,
) -> Iterator[dict[ir.Node, _Tally]]:
    """Consecutive layers whose sums fit a quarter of the cap; the rest is for samples and for who uses them."""
    stretch: dict[ir.Node, _Tally] = {}
    for node in nodes:
        value = node.inputs[0]
        assert value is not None
        tally = _Tally(node, parameters[value], memory_bytes, with_gram)
        known = {t.key: t.held_bytes for t in stretch.values()}
        extra = 0 if tally.key in known else tally.held_bytes
        if stretch and sum(known.values()) + extra > memory_bytes // 4:
            yield stretch
            stretch = {}
        stretch[node] = tally
    if stretch:
        yield stretch


def _visit(
    model: ir.Model,
    tallies: list[_Tally],
    data: CalibrationData,
    runner: Runner,
    memory_bytes: int,
    seed: int,
) -> None:
    """Run the samples once."""
    names = list(dict.fromkeys(tally.source for tally in tallies))
    first = next(iter(data.batches(data.batch_size_for(1))))
    sizes = next(iter(runner.run(model, [first], names, optimize=False)))
    heaviest = sum(array.nbytes for array in sizes.values()) // data.batch_size_for(1)
    size = data.batch_size_for(max(1, min(_BATCH, memory_bytes // 4 // max(heaviest, 1))))
    batches = math.ceil(len(data) / size)
    randoms = [np.random.default_rng([seed, index]) for index in range(len(tallies))]
    for batch, values in enumerate(runner.run(model, data.batches(size), names, optimize=True)):
        for name in names:
            check_finite(values[name], name, batch)
        for tally, random in zip(tallies, randoms, strict=True):
            tally.update(values[tally.source], math.ceil(tally.wanted_rows / batches), random)
