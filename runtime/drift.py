"""Where a model drifts from another: the error of each output, and of each value that both graphs have by name.

Pruning and quantization keep the names of values, so that what both graphs call alike and what has the same shape can be
compared layer by layer. Outputs come from the models as they are deployed; inner values from a run without
optimisations, in which every value is computed as the graph says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from ..calib_data.data import CalibrationData
from ..calib_data.runner import OrtRunner
from ..calib_data.visits import DEFAULT_MEMORY_BYTES, Probe, plan_visits
from ..core import ModelArtifact
from ..core.errors import ModelError, UsageError
from ..core.tensors import Array, Feed
from .outputs import Opener, common_batch, outputs_of


@dataclass(frozen=True)
class DriftOptions:
    """How drift is measured.

    Attributes:
        threshold_db: A value has diverged where its signal is less than this above its error, in dB: at 20 dB the
            error has a hundredth of the energy, a tenth of the size.
        samples: Most samples to measure on.
        batch_size: Most samples in a run.
        memory_bytes: The most that the values of both models may take at once; more are compared in several runs.
        seed: Seed of the choice of samples.
    """

    threshold_db: float = 20.0
    samples: int = 64
    batch_size: int = 16
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    seed: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold_db):
            raise UsageError(f"a threshold of {self.threshold_db} dB", remedy="give a number, as 20")
        if self.samples < 1 or self.batch_size < 1:
            raise UsageError("drift needs at least one sample", remedy="give a number of at least 1")


@dataclass(frozen=True)
class ValueDrift:
    """How far a value is from the first model's.

    Attributes:
        value: Its name.
        node: The node of the first model that makes it.
        op_type: That node's operator.
        max_abs: The largest difference.
        relative: The largest difference over the first model's largest number.
        cosine: Cosine of both over all samples; None where one is zero throughout.
        sqnr_db: Energy of the first model's over that of the difference, in dB; infinite where nothing differs.
        broken: Numbers that are NaN or infinite in one model only; they are left out of the figures before.
        jump_db: How much lower ``sqnr_db`` is than the lowest of the values it is made from; None where none of those
            was compared, or nothing differs; infinite where they do not differ.
    """

    value: str
    node: str
    op_type: str
    max_abs: float
    relative: float
    cosine: float | None
    sqnr_db: float
    broken: int
    jump_db: float | None = None

    def has_diverged(self, threshold_db: float) -> bool:
        """Whether the error is above a threshold, or a number is no number in one model only."""
        return self.broken > 0 or self.sqnr_db < threshold_db


@dataclass(frozen=True)
class Drift:
    """Where a model drifts from the first.

    Attributes:
        model: Its name.
        outputs: Each output that both have, as deployed.
        values: Each value that both have by name and shape, in the first model's order.
        first_diverged: The first of ``values`` whose error is above the threshold; None where there is none.
        threshold_db: The threshold.
        not_compared: Values of the first model that the other does not have, or not as floats of the same shape.
        samples: Samples that it was measured on.
    """

    model: str
    outputs: tuple[ValueDrift, ...]
    values: tuple[ValueDrift, ...]
    first_diverged: ValueDrift | None
    threshold_db: float
    not_compared: int
    samples: int


def measure_drift(
    reference: ModelArtifact,
    model: ModelArtifact,
    data: CalibrationData,
    options: DriftOptions | None = None,
    *,
    opener: Opener | None = None,
    name: str = "model",
) -> Drift:
    """Compare outputs and inner values of two models.

    Args:
        reference: The first model.
        model: The model that was made from it.
        data: The samples.
        options: How it is measured.
        opener: How the models are run for their outputs; on the CPU where None. Inner values are computed on the CPU.
        name: The model's name, for reports.

    Raises:
        ModelError: No output of both has the same name, type and shape.
        DataError: The samples do not fit.
    """
    options = options or DriftOptions()
    few = _few(data, reference, model, options)
    pair = _Pair(reference, model, few, options)
    outputs = _output_drift(pair, opener or Opener())
    graph = reference.load().graph
    values = tuple(_with_jumps(graph, _inner_drift(pair, graph)))
    diverged = next((v for v in values if v.has_diverged(options.threshold_db)), None)
    samples = min(len(pair.first), len(pair.second))
    missing = len(_made(graph)) - len(values)
    return Drift(name, outputs, values, diverged, options.threshold_db, missing, samples)


def _few(
    data: CalibrationData, reference: ModelArtifact, model: ModelArtifact, options: DriftOptions
) -> CalibrationData:
    """A choice of samples that is large enough for the batches both models insist on."""
    fixed = [data.for_model(m.inputs).fixed_batch or 1 for m in (reference, model)]
    return data.subset(max(options.samples, *fixed), seed=options.seed)


class _Pair:
    """Two models on the same samples."""

    def __init__(
        self, reference: ModelArtifact, model: ModelArtifact, data: CalibrationData, options: DriftOptions
    ) -> None:
        self.reference, self.model, self.options = reference, model, options
        self.first, self.second = data.for_model(reference.inputs), data.for_model(model.inputs)
        self.batch = common_batch(self.first, self.second, options.batch_size)

    def run(self, names: Sequence[str], size: int) -> Iterator[tuple[Feed, Feed]]:
        """Values of both models, batch by batch, without optimisations."""
        runner = OrtRunner()
        first = runner.run(self.reference.load(), self.first.batches(size), names)
        second = runner.run(self.model.load(), self.second.batches(size), names)
        return zip(first, second, strict=False)


@dataclass
class _Sums:
    """What two arrays and their difference come to, over batches."""

    signal: float = 0.0
    other: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    largest: float = 0.0
    magnitude: float = 0.0
    broken: int = 0

    def add(self, reference: Array, value: Array) -> None:
        """Take in a batch; places that are no numbers in both alike differ in nothing."""
        both = np.isfinite(reference) & np.isfinite(value)
        alike = (np.isnan(reference) & np.isnan(value)) | (reference == value)
        self.broken += int((~both & ~alike).sum())
        exact = np.where(both, reference, 0.0).astype(np.float64)
        found = np.where(both, value, 0.0).astype(np.float64)
        error = found - exact
        self.signal += float((exact**2).sum())
        self.other += float((found**2).sum())
        self.noise += float((error**2).sum())
        self.product += float((exact * found).sum())
        self.largest = max(self.largest, float(np.abs(error).max(initial=0.0)))
        self.magnitude = max(self.magnitude, float(np.abs(exact).max(initial=0.0)))

    def drift(self, value: str, node: ir.Node | None) -> ValueDrift:
        """The figures."""
        norms = math.sqrt(self.signal * self.other)
        return ValueDrift(
            value=value,
            node="" if node is None else node.name or "",
            op_type="" if node is None else node.op_type,
            max_abs=self.largest,
            relative=self.largest / self.magnitude if self.magnitude else math.inf if self.largest else 0.0,
            cosine=self.product / norms if norms else None,
            sqnr_db=_decibels(self.signal, self.noise),
            broken=self.broken,
        )


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal else -math.inf


@dataclass
class _Table:
    """Sums of values by name; a value that is not of one shape and of floats in every batch is dropped."""

    sums: dict[str, _Sums] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def add(self, first: Feed, second: Feed) -> None:
        """Take in a batch of both models."""
        for name in first.keys() - self.dropped:
            if name in second and _comparable(first[name], second[name]):
                self.sums.setdefault(name, _Sums()).add(first[name], second[name])
            else:
                self.dropped.add(name)
                self.sums.pop(name, None)


def _output_drift(pair: _Pair, opener: Opener) -> tuple[ValueDrift, ...]:
    """The error of each output that both models have, as they are deployed."""
    table = _Table()
    runs = (
        outputs_of(opener.open(model), data, pair.batch)
        for model, data in ((pair.reference, pair.first), (pair.model, pair.second))
    )
    for (_, first), (_, second) in zip(*runs, strict=False):
        table.add(first, second)
    if not table.sums:
        raise ModelError(
            "the models share no floating-point output of one name and shape",
            remedy="compare a model with one that was made from it",
        )
    outputs = [v for v in pair.reference.load().graph.outputs if v.name in table.sums]
    return tuple(table.sums[v.name].drift(v.name, v.producer()) for v in outputs if v.name)


def _inner_drift(pair: _Pair, graph: ir.Graph) -> dict[str, ValueDrift]:
    """The drift of each inner value that both have."""
    producers = {v.name: v.producer() for v in _made(graph) if v.name}
    theirs = {v.name for v in _made(pair.model.load().graph)}
    shared = [name for name in producers if name in theirs]
    if not shared:
        return {}
    first, second = next(pair.run(shared, common_batch(pair.first, pair.second, 1)))
    probes = {
        name: Probe(first[name].shape, first[name].nbytes + second[name].nbytes)
        for name in shared
        if _comparable(first[name], second[name])
    }
    if not probes:
        return {}
    o = pair.options
    table = _Table()
    for visit in plan_visits(probes, 0, pair.first, batch_size=o.batch_size, memory_bytes=o.memory_bytes):
        for exact, found in pair.run(visit.names, common_batch(pair.first, pair.second, visit.batch_size)):
            table.add(exact, found)
    return {name: table.sums[name].drift(name, producers[name]) for name in probes if name in table.sums}


def _made(graph: ir.Graph) -> list[ir.Value]:
    """What is computed from something, as far as it may be of floats; constants are not."""
    values = (value for node in graph if node.inputs for value in node.outputs if value.name)
    return [v for v in values if v.dtype is None or v.dtype.is_floating_point()]


def _comparable(first: Array, second: Array) -> bool:
    return first.dtype.kind == second.dtype.kind == "f" and first.shape == second.shape and first.size > 0


def _with_jumps(graph: ir.Graph, drifts: dict[str, ValueDrift]) -> Iterator[ValueDrift]:
    """Each drift with what its node adds to the error of what it reads."""
    nearest: dict[ir.Value, float] = {}
    for node in graph:
        read = [nearest[v] for v in node.inputs if v is not None and v in nearest]
        before = min(read) if read else None
        for value in node.outputs:
            drift = drifts.get(value.name or "")
            if drift is None:
                if before is not None:
                    nearest[value] = before
                continue
            nearest[value] = drift.sqnr_db
            jumps = before is not None and math.isfinite(drift.sqnr_db)
            yield replace(drift, jump_db=before - drift.sqnr_db) if jumps and before is not None else drift
