"""Models side by side: accuracy, agreement with the first, size, cost and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ModelError, UsageError
from ..core.events import tell
from ..core.metrics import measure_graph
from .accuracy import Accuracy, SampleScores, evaluate_function, paired_drop, score_samples, summarize
from .changed import ChangedAnswers, answers_of, changed_answers
from .custom_metric import CustomFigure, custom_drop, is_custom
from .drift import Drift, DriftOptions, measure_drift
from .drop_test import DropTest
from .environment import Environment, environment_fingerprint
from .intervals import Interval
from .latency import measure_latency
from .latency_rows import LatencyOptions, LatencyRow, LatencySkip
from .metric_table import find_metric
from .outputs import Opener

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
        drop: What is lost against the first model, paired by sample; negative where it is better than the first,
            of metrics of which less is better too. None for the first model, for metrics that compare with it anyway,
            and for a function that cannot be paired.
        agreement: How far it agrees with the first model: the same answers, or where outputs are no scores of
            classes, the cosine; None for the first model.
        latency: One row for each batch size.
        drop_test: Whether the drop is real; None where there is no drop.
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
    drop_test: DropTest | None = None


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
        drift: Where each other model drifts from the first; empty unless asked for.
        changed: Samples that each other model answers differently; empty unless asked for.
    """

    metric: str
    rows: tuple[CompareRow, ...]
    samples: int
    data_origin: str
    data_fingerprint: str
    latency_options: LatencyOptions | None
    skipped: tuple[LatencySkip, ...]
    environment: Environment
    drift: tuple[Drift, ...] = ()
    changed: tuple[ChangedAnswers, ...] = ()

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
    drift: DriftOptions | None = None,
    changed: int = 0,
    progress: Progress | None = None,
) -> CompareReport:
    """Measure models on the same samples, provider and threads.

    Args:
        models: Models by name, the first being what the others are compared with.
        data: The samples, with the labels that the metric needs.
        metric: One of :data:`~sardonyx.runtime.METRICS`, ``topK``, or ``file.py:function``.
        options: How latency is measured; its provider and threads hold for accuracy too.
        latency: Whether to measure latency.
        output: The output that the metric uses; the metric's own choice where None.
        drift: How drift from the first model is measured; None where it is not.
        changed: How many samples to list that a model answers differently from the first; 0 for none.
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
        _row(name, model, figures[name], tuple(r for r in timed.rows if r.model == name) if timed else ())
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
        drift=measured.drift(drift) if drift else (),
        changed=measured.changed(changed) if changed else (),
    )


class _Figures(NamedTuple):
    """What is measured of one model's outputs."""

    accuracy: Accuracy
    drop: Interval | None
    drop_test: DropTest | None
    agreement: Accuracy | None


class _Measurement:
    """Accuracy, drop and agreement of each model; what the first one gave is kept for the pairing."""

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
        self.opener = Opener(options.provider, options.threads, options.allow_fallback)
        self._first_scores: SampleScores | None = None
        self._first_figure: CustomFigure | None = None

    def figures(self, name: str) -> _Figures:
        """Accuracy, drop and agreement of one model."""
        agreement = None if name == self.first else self._agreement(name)
        accuracy, paired = self._custom(name) if is_custom(self.metric) else self._named(name)
        tell(
            f"{name}: {self.metric} {accuracy.value:g}", model=name, metric=self.metric, value=accuracy.value
        )
        drop, test = paired or (None, None)
        return _Figures(accuracy, drop, test, agreement)

    def _custom(self, name: str) -> tuple[Accuracy, tuple[Interval, DropTest] | None]:
        seed = self.options.seed
        accuracy, figure = evaluate_function(
            self.models[name], self.data, self.metric, self.opener, seed=seed
        )
        if self._first_figure is None:
            self._first_figure = figure
            return accuracy, None
        return accuracy, custom_drop(self._first_figure, figure, seed=seed)

    def _named(self, name: str) -> tuple[Accuracy, tuple[Interval, DropTest] | None]:
        scores = self._scores(name, self.metric, self.output)
        accuracy = summarize(scores, seed=self.options.seed)
        if self._first_scores is None:
            self._first_scores = scores
            return accuracy, None
        if find_metric(self.metric).needs == "reference":
            return accuracy, None
        return accuracy, paired_drop(self._first_scores, scores, seed=self.options.seed)

    def drift(self, options: DriftOptions) -> tuple[Drift, ...]:
        """Where each other model drifts from the first."""
        first = self.models[self.first]
        return tuple(
            measure_drift(first, model, self.data, options, opener=self.opener, name=name)
            for name, model in self.models.items()
            if name != self.first
        )

    def changed(self, limit: int) -> tuple[ChangedAnswers, ...]:
        """Samples that each other model answers differently from the first."""
        before = answers_of(self.models[self.first], self.data, self.opener, output=self.output)
        return tuple(
            changed_answers(
                before,
                answers_of(model, self.data, self.opener, output=self.output),
                name=name,
                labels=self.data.labels,
                limit=limit,
            )
            for name, model in self.models.items()
            if name != self.first
        )

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
            reference=self.models[self.first] if find_metric(metric).needs == "reference" else None,
            output=output,
        )


def _row(name: str, model: ModelArtifact, figures: _Figures, latency: tuple[LatencyRow, ...]) -> CompareRow:
    size = measure_graph(model.load())
    return CompareRow(
        model=name,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        params=size.params,
        macs=size.macs,
        nodes=size.nodes,
        accuracy=figures.accuracy,
        drop=figures.drop,
        agreement=figures.agreement,
        latency=latency,
        drop_test=figures.drop_test,
    )


def _names(rows: tuple[CompareRow, ...]) -> str:
    return ", ".join(row.model for row in rows)
