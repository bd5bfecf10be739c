"""Accuracy of a model on samples, always with an interval or a stated reason for having none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError, UsageError
from ..core.tensors import Array, Feed
from .custom_metric import CustomFigure, evaluate_custom, is_custom
from .drop_test import DropTest, compare_figures, compare_shares
from .intervals import Interval, bootstrap, stack, wilson
from .metric_table import Batch, Metric, find_metric
from .multilabel import probabilities_of, threshold_of
from .odd_outputs import OutputWatch
from .outputs import Opener, common_batch, outputs_of
from .retrieval import shared_labels


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
        columns: One row for each sample; the columns are the metric's own, sparse for metrics by class.
        outputs: The model outputs it was taken from.
        provider: The provider the model ran on.
        notes: What has to be said.
    """

    metric: str
    columns: Any
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
        data: The samples, with the labels that the metric needs; may be None for a function of the model's path.
        metric: One of :data:`~sardonyx.runtime.METRICS`, ``topK``, or ``file.py:function``.
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
        opener = Opener(provider, threads, allow_fallback)
        return evaluate_function(model, data, metric, opener, batch_size=batch_size, seed=seed)[0]
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
    rule = find_metric(metric)
    data = _check_request(data, rule, reference)
    opener = Opener(provider, threads, allow_fallback)
    session, bound = opener.open(model), data.for_model(model.inputs)
    probabilities = probabilities_of(model.load()) if rule.by_class else frozenset()
    if rule.needs == "reference" and reference is not None:
        other = data.for_model(reference.inputs)
        size = common_batch(bound, other, batch_size)
        second = session if reference is model else opener.open(reference)
        batches = _with_reference(outputs_of(session, bound, size), outputs_of(second, other, size), output)
    else:
        batches = _with_labels(outputs_of(session, bound, batch_size), bound, output, probabilities)
    if rule.whole:
        batches = iter([_joined(list(batches))])
    rows: list[Any] = []
    names: tuple[str, ...] = ()
    watch = OutputWatch()
    for batch in batches:
        columns, names = rule.score(batch)
        watch.see([batch.outputs[name] for name in names], batch.samples)
        rows.append(columns)
    told = (*_notes_of(rule, model, bound.labels, names[0], probabilities), *watch.notes())
    return SampleScores(metric, stack(rows), names, session.provider, (*session.notes, *bound.notes, *told))


def summarize(scores: SampleScores, *, seed: int = 0) -> Accuracy:
    """Turn the scores of samples into one figure with its interval.

    Args:
        scores: The scores.
        seed: Seed of the bootstrap.

    Raises:
        DataError: The metric is undefined on every sample.
    """
    rule = find_metric(scores.metric)
    columns, notes = scores.columns, list(scores.notes)
    samples = columns.shape[0]
    if rule.is_share:
        interval = wilson(int(columns[:, 0].sum()), samples)
    else:
        interval = bootstrap(columns, rule.statistic, seed=seed)
    if math.isnan(interval.value):
        where = _UNDEFINED[rule.needs]
        raise DataError(
            f"{scores.metric} is undefined on {where}", remedy="name another output, or use another metric"
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
        samples,
        interval.method,
        scores.outputs,
        scores.provider,
        rule.higher_is_better,
        notes=tuple(notes),
    )


def accuracy_drop(first: SampleScores, second: SampleScores, *, seed: int = 0) -> Interval:
    """How much worse the second is than the first; the interval of :func:`paired_drop`."""
    return paired_drop(first, second, seed=seed)[0]


def paired_drop(first: SampleScores, second: SampleScores, *, seed: int = 0) -> tuple[Interval, DropTest]:
    """How much worse the second is than the first, paired by sample, and whether that is real.

    Args:
        first: Scores of one model.
        second: Scores of another, of the same samples by the same metric.
        seed: Seed of the bootstrap.

    Returns:
        What is lost with its interval (negative where the second is better, also of metrics of which less is better),
        and the test.

    Raises:
        UsageError: The metrics or the samples differ.
    """
    if first.metric != second.metric or first.columns.shape != second.columns.shape:
        raise UsageError(
            f"a paired drop from {first.metric} to {second.metric} is undefined",
            remedy="score the same samples of both models by the same metric",
        )
    rule = find_metric(first.metric)
    if rule.is_share:
        return compare_shares(first.columns[:, 0], second.columns[:, 0])
    better = rule.higher_is_better
    return compare_figures(first.columns, second.columns, rule.statistic, higher_is_better=better, seed=seed)


def evaluate_function(
    model: ModelArtifact,
    data: CalibrationData | None,
    metric: str,
    opener: Opener,
    *,
    batch_size: int = 64,
    seed: int = 0,
) -> tuple[Accuracy, CustomFigure]:
    """Measure a model with the user's function; see :func:`evaluate` for the arguments.

    Returns:
        The accuracy, and what a paired comparison with another model can rest on.
    """
    notes: list[str] = []
    bound = None if data is None else data.for_model(model.inputs)

    def run() -> tuple[Feed, str]:
        if bound is None:
            raise DataError(f"{metric} takes (outputs, labels) and needs samples", remedy="give data")
        session = opener.open(model)
        batches = [outputs for _, outputs in outputs_of(session, bound, batch_size)]
        notes.extend((*session.notes, *bound.notes))
        stacked = {name: np.concatenate([b[name] for b in batches]) for name in session.output_names}
        return stacked, session.provider

    found = evaluate_custom(metric, model, run, None if bound is None else bound.labels, seed=seed)
    accuracy = Accuracy(
        found.metric,
        found.value,
        found.low,
        found.high,
        found.n,
        found.method,
        found.outputs,
        found.provider,
        found.higher_is_better,
        tuple(notes),
    )
    return accuracy, found


_UNDEFINED = {
    "labels": "these labels: they are all alike, or all ignored",
    "reference": "every sample: the outputs are zero",
}
"""What it means that a metric has no value."""


def _check_request(
    data: CalibrationData | None, metric: Metric, reference: ModelArtifact | None
) -> CalibrationData:
    if metric.needs == "reference" and reference is None:
        raise UsageError(
            f"{metric.name} compares with a reference model", remedy="name the model to compare with"
        )
    if data is None:
        raise DataError(f"{metric.name} needs samples", remedy="give data with at least one sample")
    if metric.needs == "labels" and data.labels is None:
        remedy = "add an array 'labels', or use agreement or cosine"
        raise DataError(f"{metric.name} needs labels", remedy=remedy)
    return data


def _with_labels(
    batches: Iterator[tuple[int, Feed]],
    data: CalibrationData,
    output: str | None,
    probabilities: frozenset[str],
) -> Iterator[Batch]:
    labels = data.labels
    assert labels is not None
    start = 0
    for count, outputs in batches:
        chosen = labels[start : start + count]
        yield Batch(outputs, count, output, labels=chosen, probabilities=probabilities)
        start += count


def _with_reference(
    batches: Iterator[tuple[int, Feed]], others: Iterator[tuple[int, Feed]], output: str | None
) -> Iterator[Batch]:
    # Two models that drop trailing samples by their batch size end with the shorter of them.
    for (count, outputs), (_, reference) in zip(batches, others, strict=False):
        yield Batch(outputs, count, output, reference=reference)


def _joined(batches: list[Batch]) -> Batch:
    """All samples in one batch; outputs that are not batched on axis 0 are left out."""
    batched = [n for n in batches[0].outputs if all(b.outputs[n].shape[:1] == (b.samples,) for b in batches)]
    return Batch(
        {name: np.concatenate([b.outputs[name] for b in batches]) for name in batched},
        sum(b.samples for b in batches),
        batches[0].output,
        labels=np.concatenate([b.labels for b in batches if b.labels is not None]),
    )


def _notes_of(
    metric: Metric, model: ModelArtifact, labels: Array | None, output: str, probabilities: frozenset[str]
) -> Iterator[str]:
    """What has to be said of how the metric took the labels."""
    if labels is None or metric.needs != "labels":
        return
    if metric.whole and (alone := int((~shared_labels(labels)).sum())):
        yield f"{alone} samples are left out: no other has their label"
    shape = next((spec.shape for spec in model.outputs if spec.name == output), None)
    if metric.by_class and labels.ndim == 2 and shape is not None and len(shape) == 2:
        kind = (
            "a probability"
            if output in probabilities
            else "no probability, as no Sigmoid or Softmax makes it"
        )
        yield f"a class is answered where {output!r} is above {threshold_of(output, probabilities):g}: it is {kind}"
