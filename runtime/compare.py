"""Models side by side: accuracy, agreement with the first, size, cost and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ModelError, UsageError
from ..core.metrics import measure_graph
from .accuracy import (
    REFERENCED,
    SHARES,
    Accuracy,
    SampleScores,
    accuracy_drop,
    evaluate,
    score_samples,
    summarize,
)
from .custom_metric import is_custom
from .environment import Environment, environment_fingerprint
from .intervals import Interval
from .latency import LatencyOptions, LatencyRow, LatencySkip, measure_latency

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True)
class CompareRow:
    """One model among others.

    Attributes:
        model: Its name.
        sha256: SHA-256 of its file.
        size_bytes: Bytes of its file.
        params: Elements of its weights.
        macs: Multiply-accumulates of one sample; None where a shape is unknown.
        nodes: Its nodes.
        accuracy: The metric that was asked for.
        drop: What is lost against the first model, paired by sample; None for the first model and for
            metrics that do not count samples.
        agreement: How far it agrees with the first model: the same answers, or where outputs are no scores of
            classes, the cosine; None for the first model.
        latency: One row for each batch size.
    """

    model: str
    sha256: str
    size_bytes: int
    params: int
    macs: int | None
    nodes: int
    accuracy: Accuracy
    drop: Interval | None
    agreement: Accuracy | None
    latency: tuple[LatencyRow, ...]


@dataclass(frozen=True)
class CompareReport:
    """Models side by side, the first being what the others are compared with.

    Attributes:
        metric: The metric that was asked for.
        rows: One for each model, in the order given.
        samples: How many samples were used.
        data_origin: Where they came from.
        data_fingerprint: SHA-256 of the samples.
        latency_options: How latency was measured; None where it was not.
        skipped: Latencies that were not measured, and why.
        environment: What it was measured on.
    """

    metric: str
    rows: tuple[CompareRow, ...]
    samples: int
    data_origin: str
    data_fingerprint: str
    latency_options: LatencyOptions | None
    skipped: tuple[LatencySkip, ...]
    environment: Environment

    def row(self, model: str) -> CompareRow:
        """The row of a model.

        Raises:
            UsageError: No model is called so.
        """
        for row in self.rows:
            if row.model == model:
                return row
        raise UsageError(f"no model {model!r} in the comparison", remedy=f"it has: {_names(self.rows)}")


def compare(
    models: Mapping[str, ModelArtifact],
    data: CalibrationData,
    metric: str = "top1",
    options: LatencyOptions | None = None,
    *,
    latency: bool = True,
    output: str | None = None,
    progress: Progress | None = None,
) -> CompareReport:
    """Measure models on the same samples, provider and threads.

    Args:
        models: Models by name, the first being what the others are compared with.
        data: The samples, with labels for ``top1``.
        metric: One of :data:`~sardonyx.runtime.METRICS`, or ``file.py:function``.
        options: How latency is measured; its provider and threads hold for accuracy too.
        latency: Whether to measure latency.
        output: The output that the metric uses; the metric's own choice where None.
        progress: Told the models and rounds done.

    Raises:
        UsageError: There is no model, or the metric is unknown.
        DataError: The samples or labels do not fit.
        ProviderError: The provider is not there or ran nothing.
    """
    if not models:
        raise UsageError("there is no model to compare", remedy="name at least one model")
    options = options or LatencyOptions()
    measured = _Measurement(models, data, metric, options, output)
    figures = {name: measured.figures(name) for name in models}
    timed = measure_latency(models, data, options, progress=progress) if latency else None
    rows = [
        _row(name, model, *figures[name], tuple(r for r in timed.rows if r.model == name) if timed else ())
        for name, model in models.items()
    ]
    return CompareReport(
        metric=metric,
        rows=tuple(rows),
        samples=len(data),
        data_origin=data.origin,
        data_fingerprint=data.fingerprint,
        latency_options=options if latency else None,
        skipped=timed.skipped if timed else (),
        environment=environment_fingerprint(),
    )


class _Measurement:
    """Accuracy, drop and agreement of each model; the first model's scores are kept for the pairing."""

    def __init__(
        self,
        models: Mapping[str, ModelArtifact],
        data: CalibrationData,
        metric: str,
        options: LatencyOptions,
        output: str | None,
    ) -> None:
        self.models, self.data, self.metric, self.options, self.output = models, data, metric, options, output
        self.first = next(iter(models))
        self._first_scores: SampleScores | None = None

    def figures(self, name: str) -> tuple[Accuracy, Interval | None, Accuracy | None]:
        """Accuracy, drop and agreement of one model."""
        agreement = None if name == self.first else self._agreement(name)
        if is_custom(self.metric):
            o = self.options
            accuracy = evaluate(
                self.models[name],
                self.data,
                self.metric,
                provider=o.provider,
                threads=o.threads,
                allow_fallback=o.allow_fallback,
                seed=o.seed,
            )
            return accuracy, None, agreement
        scores = self._scores(name, self.metric, self.output)
        if self._first_scores is None:
            self._first_scores = scores
        paired = name != self.first and self.metric in SHARES and self.metric not in REFERENCED
        drop = accuracy_drop(self._first_scores, scores) if paired else None
        return summarize(scores, seed=self.options.seed), drop, agreement

    def _agreement(self, name: str) -> Accuracy:
        """The same answers as the first model, or the cosine where outputs are no scores of classes."""
        try:
            scores = self._scores(name, "agreement", self.output)
        except ModelError:  # no output of rank 2; anything else about the model fails in the cosine too
            scores = self._scores(name, "cosine", self.output)
        return summarize(scores, seed=self.options.seed)

    def _scores(self, name: str, metric: str, output: str | None) -> SampleScores:
        return score_samples(
            self.models[name],
            self.data,
            metric,
            provider=self.options.provider,
            threads=self.options.threads,
            allow_fallback=self.options.allow_fallback,
            reference=self.models[self.first] if metric in REFERENCED else None,
            output=output,
        )


def _row(
    name: str,
    model: ModelArtifact,
    accuracy: Accuracy,
    drop: Interval | None,
    agreement: Accuracy | None,
    latency: tuple[LatencyRow, ...],
) -> CompareRow:
    size = measure_graph(model.load())
    return CompareRow(
        model=name,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        params=size.params,
        macs=size.macs,
        nodes=size.nodes,
        accuracy=accuracy,
        drop=drop,
        agreement=agreement,
        latency=latency,
    )


def _names(rows: tuple[CompareRow, ...]) -> str:
    return ", ".join(row.model for row in rows)
