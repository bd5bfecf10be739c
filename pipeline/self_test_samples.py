"""The samples of a bundle's self-test, and what the model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError, ExpectationError, UsageError
from ..core.tensors import Array, Feed, TensorSpec
from ..deploy import Allowance, check_storable, choose_tolerance, open_on_cpu


@dataclass(frozen=True)
class Samples:
    """Samples, run by run.

    Attributes:
        runs: A feed for each run.
        batch: Samples in a run.
        origin: Where they come from, in words.
    """

    runs: tuple[Feed, ...]
    batch: int
    origin: str

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.runs) * self.batch


@dataclass(frozen=True)
class Answers:
    """What a model makes of samples.

    Attributes:
        samples: The samples; of a model whose outputs differ in shape from run to run, those of the first run only.
        outputs: Its outputs, all runs one after the other on axis 0.
        allowance: What a self-test lets pass.
        notes: What has to be said.
    """

    samples: Samples
    outputs: Feed
    allowance: Allowance
    notes: tuple[str, ...] = ()

    @property
    def inputs(self) -> Feed:
        """The samples, all runs one after the other on axis 0."""
        return joined(self.samples.runs)


def take_samples(
    specs: Sequence[TensorSpec],
    data: CalibrationData | None,
    *,
    samples: int,
    batch: int | None = None,
    seed: int = 0,
) -> Samples:
    """Choose samples, or make them up within the declared types.

    Args:
        specs: The inputs of the model.
        data: The samples to choose from; made up where None.
        samples: How many, in whole batches, one batch at least.
        batch: Samples in a run; what the model insists on, or 1, where None.
        seed: Seed of the choice.

    Raises:
        UsageError: The model insists on another batch.
        DataError: The samples do not fit the model, or are too few for one batch, or an input that is to be made up has
            an open dimension besides the first.
    """
    if samples < 1:
        raise UsageError(f"a self-test of {samples} samples", remedy="take at least 1")
    if data is None:
        return _made_up(specs, samples, batch, seed)
    bound = data.for_model(specs)
    size = _batch(batch, bound.fixed_batch)
    count = max(1, min(samples, len(bound)) // size) * size
    if count > len(bound):
        raise DataError(
            f"{data.origin} holds {len(bound)} samples, fewer than a batch of {size}",
            remedy="give more samples",
        )
    runs = tuple(bound.subset(count, seed=seed).batches(size))
    return Samples(runs, size, f"samples of {data.origin}")


def _batch(asked: int | None, fixed: int | None) -> int:
    if asked is not None and fixed is not None and asked != fixed:
        raise UsageError(
            f"the model takes batches of {fixed}, not of {asked}",
            remedy=f"leave --batch out, or give {fixed}",
        )
    return fixed or asked or 1


def _made_up(specs: Sequence[TensorSpec], samples: int, batch: int | None, seed: int) -> Samples:
    firsts = {spec.shape[0] for spec in specs if spec.shape}
    fixed = [first for first in firsts if isinstance(first, int)]
    size = _batch(batch, fixed[0] if len(firsts) == 1 and fixed else 1 if fixed else None)
    random = np.random.default_rng(seed)
    count = max(1, samples // size)
    runs = tuple({spec.name: _random(spec, size, random) for spec in specs} for _ in range(count))
    return Samples(runs, size, f"made-up samples: random numbers of seed {seed}, not from any data")


def _random(spec: TensorSpec, batch: int, random: np.random.Generator) -> Array:
    """Normal numbers; of integers of 8 bits all values, of wider ones 0 and 1, which any table has a row for."""
    if spec.shape is None or any(not isinstance(d, int) for d in spec.shape[1:]):
        raise DataError(
            f"input {spec} has an open shape, and no samples are given",
            remedy="give --data, or fix the shape with --fix",
        )
    shape = tuple(d if isinstance(d, int) else batch for d in spec.shape)
    if spec.dtype.kind == "f":
        return random.standard_normal(shape).astype(spec.dtype)
    if spec.dtype.kind in "iu" and spec.dtype.itemsize == 1:
        limits = np.iinfo(spec.dtype)
        return random.integers(limits.min, limits.max, shape, dtype=spec.dtype, endpoint=True)
    if spec.dtype.kind in "iub":
        return random.integers(0, 2, shape).astype(spec.dtype)
    raise DataError(f"input {spec} cannot be made up", remedy="give samples with --data")


def answer(model: ModelArtifact, original: ModelArtifact, samples: Samples) -> Answers:
    """Run a model over samples, without optimisations too, and hold it to the original that it was made from.

    Args:
        model: The model as the device gets it.
        original: The model that was given.
        samples: The samples.

    Raises:
        ExpectationError: The outputs differ from the original's, are not finite, or are nothing that clients read.
        DataError: The model fails on a sample.
    """
    notes: tuple[str, ...] = ()
    outputs = _run(model, samples)
    if not _is_uniform(outputs):
        samples = Samples(samples.runs[:1], samples.batch, samples.origin)
        outputs = outputs[:1]
        notes = ("outputs differ in shape from run to run: the self-test is one run",)
    expected = joined(outputs)
    allowance = choose_tolerance(model.load(), expected, joined(_run(model, samples, optimize=False)))
    if original.sha256 != model.sha256:
        _check_same(expected, joined(_run(original, samples)), allowance)
    return Answers(samples, expected, allowance, notes)


def joined(feeds: Sequence[Feed]) -> Feed:
    """Feeds of the same shapes, one after the other on axis 0."""
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def _run(model: ModelArtifact, samples: Samples, *, optimize: bool = True) -> list[Feed]:
    run = open_on_cpu(model, optimize=optimize)
    found = [run(feed) for feed in samples.runs]
    for kind, feeds in (("input", samples.runs), ("output", found)):
        for name, array in feeds[0].items():
            check_storable(kind, name, array)
    return found


def _is_uniform(feeds: Sequence[Feed]) -> bool:
    return all(
        {n: a.shape for n, a in feed.items()} == {n: a.shape for n, a in feeds[0].items()} for feed in feeds
    )


def _check_same(expected: Feed, original: Feed, allowance: Allowance) -> None:
    """Refuse a model that lowering or fixing has changed."""
    for name, array in expected.items():
        wanted = original.get(name)
        if wanted is None or wanted.shape != array.shape or wanted.dtype != array.dtype:
            raise ExpectationError(
                f"output {name!r} has another shape or type than before its versions were lowered",
                remedy="package the model without --fix, or export it for the platform's opset",
            )
        limit = allowance.tolerance.absolute + allowance.tolerance.relative * np.abs(
            wanted.astype(np.float64)
        )
        off = np.abs(array.astype(np.float64) - wanted.astype(np.float64))
        if (off > limit).any() if array.dtype.kind == "f" else (array != wanted).any():
            raise ExpectationError(
                f"output {name!r} differs by {float(off.max()):.3g} from that of the model that was given",
                remedy="export the model for the platform's opset yourself, so that nothing has to be lowered",
            )
