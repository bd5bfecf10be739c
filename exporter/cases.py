"""The inputs on which module and export are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.tensors import Array, Feed
from .options import ExportOptions, InputShape

Kind = Literal["normal", "zeros", "extreme"]

KINDS: tuple[Kind, ...] = ("normal", "zeros", "extreme")
BATCHES = (1, 2, 5)

_EXTREMES = {2: (1e2, 1e-3), 4: (1e4, 1e-6), 8: (1e4, 1e-6)}
"""Large and small magnitudes by size of the type in bytes: far out, and far from its overflow."""


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: What it is, for the report.
        kind: What the inputs hold.
        feed: The inputs.
    """

    name: str
    kind: Kind
    feed: Feed


def make_cases(options: ExportOptions) -> list[Case]:
    """The comparisons that these options call for.

    Where axis 0 is free: batches of 1, 2 and 5. Where another axis is free: also twice its size. In each size
    inputs drawn from a normal distribution, zeros, and a mixture of very large, very small and zero elements;
    integers are drawn below the input's bound, all zero, and all at the bound.

    Returns:
        At least three cases, the same for the same seed.
    """
    cases: list[Case] = []
    for label, stretch in _sizes(options):
        for kind in KINDS:
            random = np.random.default_rng([options.seed, len(cases)])
            feed = {
                name: _fill(kind, spec, stretched(options, name, *stretch), random)
                for name, spec in options.inputs.items()
            }
            cases.append(Case(f"{kind}, {label}", kind, feed))
    return cases


def example_feed(options: ExportOptions) -> Feed:
    """Inputs to trace with: no free axis has size 1, which a tracer would take for fixed."""
    random = np.random.default_rng(options.seed)
    feed: Feed = {}
    for name, spec in options.inputs.items():
        free = options.axes_of(name)
        shape = tuple(max(2, d) if axis in free else d for axis, d in enumerate(spec.shape))
        feed[name] = _fill("normal", spec, shape, random)
    return feed


def stretched(options: ExportOptions, name: str, batch: int | None, factor: int) -> tuple[int, ...]:
    """The shape of an input with another batch, and its other free axes times a factor."""
    free = options.axes_of(name)
    shape = [d * factor if axis in free and axis else d for axis, d in enumerate(options.inputs[name].shape)]
    if 0 in free and batch is not None:
        shape[0] = batch
    return tuple(shape)


def _sizes(options: ExportOptions) -> Iterator[tuple[str, tuple[int | None, int]]]:
    free = [axis for name in options.inputs for axis in options.axes_of(name)]
    if 0 in free:
        yield from ((f"batch {batch}", (batch, 1)) for batch in BATCHES)
    else:
        yield "given sizes", (None, 1)
    if any(axis > 0 for axis in free):
        yield "other free axes twice as long", (2, 2)


def _fill(kind: Kind, spec: InputShape, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if kind == "zeros":
        return np.zeros(shape, dtype)
    if dtype.kind != "f":
        high = 2 if dtype.kind == "b" else spec.high
        drawn = np.full(shape, high - 1) if kind == "extreme" else random.integers(0, high, shape)
        return drawn.astype(dtype)
    if kind == "normal":
        return random.standard_normal(shape).astype(dtype)
    large, small = _EXTREMES[dtype.itemsize]
    return random.choice(np.array([-large, -1.0, -small, 0.0, small, 1.0, large]), shape).astype(dtype)
