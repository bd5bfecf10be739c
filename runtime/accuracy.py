"""Accuracy of a model on samples, always with an interval or a stated reason for having none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError, UsageError
from ..core.tensors import Feed
from .classification import agreement_columns, pick_scores, top1_columns
from .custom_metric import evaluate_custom, is_custom
from .fidelity import cosine_columns, flatten_pair, mean_cosine, pick_floats, sqnr_columns, sqnr_db
from .intervals import Interval, Matrix, bootstrap, paired_difference, wilson
from .sessions import Session, open_session

METRICS = ("top1", "cosine", "sqnr", "agreement")
"""The metrics that have a name; anything else is ``file.py:function``."""

SHARES = frozenset({"top1", "agreement"})
"""Metrics that count samples: each is right or wrong."""

REFERENCED = frozenset({"cosine", "sqnr", "agreement"})
"""Metrics against the outputs of a reference model."""


@dataclass(frozen=True)
class Accuracy:
    """An accuracy with its interval.

    Attributes:
        metric: What was measured.
        value: The figure; a ratio from 0 to 1 for shares, dB for ``sqnr``.
        low: Lower end of the 95 % interval; None where there is none, and ``method`` says why.
        high: Upper end.
        n: How many samples it rests on.
        method: How the interval was made.
        outputs: The model outputs it was taken from.
        provider: The provider the model ran on; empty where a user's function ran it.
        higher_is_better: Whether more is better.
        notes: What else has to be said: fallbacks, undefined samples.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    method: str
    outputs: tuple[str, ...] = ()
    provider: str = ""
    higher_is_better: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleScores:
    """What a metric says of each sample, for paired comparisons.

    Attributes:
        metric: What was measured.
        columns: One row for each sample; the columns are the metric's own.
        outputs: The model outputs it was taken from.
        provider: The provider the model ran on.
        notes: What has to be said.
    """

    metric: str
    columns: Matrix
    outputs: tuple[str, ...]
    provider: str
    notes: tuple[str, ...] = ()


def evaluate(
    model: ModelArtifact,
    data: CalibrationData | None,
    metric: str = "top1",
    *,
    provider: str = "cpu",
    threads: int = 0,
    reference: ModelArtifact | None = None,
    output: str | None = None,
    batch_size: int = 64,
    allow_fallback: bool = False,
    seed: int = 0,
) -> Accuracy:
    """Measure a model.

    Args:
        model: The model.
        data: The samples, with labels for ``top1``; may be None for a function of the model's path.
        metric: One of :data:`METRICS`, or ``file.py:function``.
        provider: The execution provider to run on.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        reference: The model to compare with, for ``cosine``, ``sqnr`` and ``agreement``.
        output: The output to use; the metric's own choice where None.
        batch_size: Samples in one run.
        allow_fallback: Whether the CPU may stand in for the provider.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The metric is unknown, or lacks its reference.
        DataError: The samples or labels do not fit.
        ExpectationError: Outputs are NaN where the reference's are not.
        ProviderError: The provider is not there or ran nothing.
    """
    if is_custom(metric):
        return _of_custom(model, data, metric, _Opener(provider, threads, allow_fallback), batch_size)
    scores = score_samples(
        model,
        data,
        metric,
        provider=provider,
        threads=threads,
        reference=reference,
        output=output,
        batch_size=batch_size,
        allow_fallback=allow_fallback,
    )
    return summarize(scores, seed=seed)


def score_samples(
    model: ModelArtifact,
    data: CalibrationData | None,
    metric: str,
    *,
    provider: str = "cpu",
    threads: int = 0,
    reference: ModelArtifact | None = None,
    output: str | None = None,
    batch_size: int = 64,
    allow_fallback: bool = False,
) -> SampleScores:
    """Score each sample with a metric that has a name; see :func:`evaluate` for the arguments.

    Raises:
        UsageError: The metric is unknown, or lacks its reference.
        DataError: The samples or labels do not fit.
    """
    data = _check_request(data, metric, reference)
    opener = _Opener(provider, threads, allow_fallback)
    session, bound = opener.open(model), data.for_model(model.inputs)
    if reference is None or metric not in REFERENCED:
        rows, names = _score_labels(_outputs(session, bound, batch_size), bound, output)
    else:
        other = data.for_model(reference.inputs)
        size = _common_batch(bound, other, batch_size)
        batches = zip(
            _outputs(session, bound, size), _outputs(opener.open(reference), other, size), strict=False
        )
        rows, names = _score_pairs(metric, batches, output)
    notes = (*session.notes, *bound.notes)
    return SampleScores(metric, np.concatenate(rows), names, session.provider, notes)


def summarize(scores: SampleScores, *, seed: int = 0) -> Accuracy:
    """Turn the scores of samples into one figure with its interval.

    Args:
        scores: The scores.
        seed: Seed of the bootstrap.

    Raises:
        DataError: The metric is undefined on every sample.
    """
    columns, notes = scores.columns, list(scores.notes)
    if scores.metric in SHARES:
        interval = wilson(int(columns[:, 0].sum()), len(columns))
    else:
        interval = bootstrap(columns, mean_cosine if scores.metric == "cosine" else sqnr_db, seed=seed)
    if math.isnan(interval.value):
        raise DataError(
            f"{scores.metric} is undefined on every sample: the outputs are zero",
            remedy="name another output, or use agreement",
        )
    if scores.metric == "cosine" and (undefined := int((columns[:, 1] == 0).sum())):
        notes.append(f"undefined on {undefined} samples whose outputs are zero; they are left out")
    if scores.metric == "sqnr" and math.isinf(interval.value):
        notes.append("the outputs are equal, bit for bit")
    return Accuracy(
        scores.metric,
        interval.value,
        interval.low,
        interval.high,
        len(columns),
        interval.method,
        scores.outputs,
        scores.provider,
        notes=tuple(notes),
    )


def accuracy_drop(first: SampleScores, second: SampleScores) -> Interval:
    """How much of a share is lost from the first to the second, paired by sample.

    Raises:
        UsageError: The metric is no share, or the samples differ.
    """
    if (
        first.metric not in SHARES
        or first.metric != second.metric
        or len(first.columns) != len(second.columns)
    ):
        raise UsageError(
            f"a paired drop from {first.metric} to {second.metric} is undefined",
            remedy=f"score the same samples with one of {', '.join(sorted(SHARES))}",
        )
    count = min(len(first.columns), len(second.columns))
    return paired_difference(first.columns[:count, 0], second.columns[:count, 0])


@dataclass(frozen=True)
class _Opener:
    """How to open a session."""

    provider: str
    threads: int
    allow_fallback: bool

    def open(self, model: ModelArtifact) -> Session:
        return open_session(model, self.provider, threads=self.threads, allow_fallback=self.allow_fallback)


def _check_request(
    data: CalibrationData | None, metric: str, reference: ModelArtifact | None
) -> CalibrationData:
    if metric not in METRICS:
        raise UsageError(f"unknown metric {metric!r}", remedy=f"use {', '.join(METRICS)} or file.py:function")
    if metric in REFERENCED and reference is None:
        raise UsageError(f"{metric} compares with a reference model", remedy="name the model to compare with")
    if data is None:
        raise DataError(f"{metric} needs samples", remedy="give data with at least one sample")
    if metric == "top1" and data.labels is None:
        raise DataError("top1 needs labels", remedy="add an array 'labels', or use agreement or cosine")
    return data


def _common_batch(first: CalibrationData, second: CalibrationData, wanted: int) -> int:
    """A batch size that two models both take."""
    fixed = {d.fixed_batch for d in (first, second) if d.fixed_batch is not None}
    if len(fixed) > 1:
        raise DataError(
            f"one model takes batches of {min(fixed)} only, the other of {max(fixed)}",
            remedy="export both with the same batch, or with a free one",
        )
    return fixed.pop() if fixed else wanted


def _outputs(session: Session, data: CalibrationData, batch_size: int) -> Iterator[tuple[int, Feed]]:
    """Outputs of each batch, with the samples in it; the data are bound to the model."""
    size = data.batch_size_for(batch_size)
    for index, feed in enumerate(data.batches(size)):
        yield min(size, len(data) - index * size), session.run(feed)


def _score_labels(
    batches: Iterator[tuple[int, Feed]], data: CalibrationData, output: str | None
) -> tuple[list[Matrix], tuple[str, ...]]:
    labels = data.labels
    assert labels is not None
    rows: list[Matrix] = []
    start, name = 0, output
    for count, outputs in batches:
        name = pick_scores(outputs, name)
        rows.append(top1_columns(outputs[name], labels[start : start + count]))
        start += count
    return rows, (name or "",)


def _score_pairs(
    metric: str, batches: Iterable[tuple[tuple[int, Feed], tuple[int, Feed]]], output: str | None
) -> tuple[list[Matrix], tuple[str, ...]]:
    rows: list[Matrix] = []
    names: tuple[str, ...] = ()
    compare: Callable[[Matrix, Matrix], Matrix] = cosine_columns if metric == "cosine" else sqnr_columns
    for (count, outputs), (_, reference) in batches:
        if metric == "agreement":
            names = (pick_scores(outputs, output),)
            other = reference[names[0]] if names[0] in reference else reference[pick_scores(reference, None)]
            rows.append(agreement_columns(outputs[names[0]], other))
        else:
            names = names or pick_floats(outputs, output)
            rows.append(compare(*flatten_pair(outputs, reference, names, count)))
    return rows, names


def _of_custom(
    model: ModelArtifact, data: CalibrationData | None, metric: str, opener: _Opener, batch_size: int
) -> Accuracy:
    notes: list[str] = []
    bound = None if data is None else data.for_model(model.inputs)

    def run() -> tuple[Feed, str]:
        if bound is None:
            raise DataError(f"{metric} takes (outputs, labels) and needs samples", remedy="give data")
        session = opener.open(model)
        batches = [outputs for _, outputs in _outputs(session, bound, batch_size)]
        notes.extend((*session.notes, *bound.notes))
        stacked = {name: np.concatenate([b[name] for b in batches]) for name in session.output_names}
        return stacked, session.provider

    found = evaluate_custom(metric, model, run, None if bound is None else bound.labels)
    return Accuracy(**vars(found), notes=tuple(notes))
