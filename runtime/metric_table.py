"""The metrics that have a name: what each needs, what it notes of each sample, and how that becomes one figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..core.errors import UsageError
from ..core.tensors import Array, Feed
from .classification import agreement_columns, pick_scores, top1_columns, topk_columns
from .confusion import class_columns, macro_f1, mean_iou, micro_f1, pick_class_map
from .fidelity import cosine_columns, flatten_pair, pick_floats, sqnr_columns, sqnr_db
from .intervals import Matrix, mean_of
from .multilabel import is_multilabel, multilabel_columns, threshold_of
from .regression import (
    absolute_columns,
    pick_numbers,
    r_squared,
    root_mean,
    square_columns,
    variance_columns,
)
from .retrieval import nearest_columns


@dataclass(frozen=True)
class Batch:
    """What a metric may look at.

    Attributes:
        outputs: The model's outputs.
        samples: How many samples they hold.
        output: The output that the user named, or None.
        labels: Labels of the samples, or None.
        reference: Outputs of the reference model, or None.
        probabilities: Outputs that are probabilities.
    """

    outputs: Feed
    samples: int
    output: str | None
    labels: Array | None = None
    reference: Feed | None = None
    probabilities: frozenset[str] = frozenset()


Scored = tuple[Any, tuple[str, ...]]
"""Columns, one row for each sample and possibly sparse, and the outputs they were taken from."""


@dataclass(frozen=True)
class Metric:
    """A metric that has a name.

    Attributes:
        name: Its name.
        about: What it is, in a line.
        needs: What it compares outputs with: labels, or the outputs of a reference model.
        score: From a batch to columns.
        statistic: From sums of columns over samples, shape ``(resamples, columns)``, to a figure for each row.
        is_share: Whether each sample is right or wrong: the interval is then Wilson's and the paired test McNemar's,
            and a bootstrap over samples is both for other metrics.
        is_ratio: Whether it is at most 1, to be read in percent.
        higher_is_better: Whether more is better.
        whole: Whether it has to see all samples at once.
        by_class: Whether it counts the answers of each class, of which a sample may have several.
    """

    name: str
    about: str
    needs: Literal["labels", "reference"]
    score: Callable[[Batch], Scored]
    statistic: Callable[[Matrix], Matrix]
    is_share: bool = False
    is_ratio: bool = False
    higher_is_better: bool = True
    whole: bool = False
    by_class: bool = False


def _from_labels(
    pick: Callable[[Feed, str | None, Array], str], columns: Callable[[Array, Array], Any], batch: Batch
) -> Scored:
    assert batch.labels is not None
    name = pick(batch.outputs, batch.output, batch.labels)
    return columns(batch.outputs[name], batch.labels), (name,)


def _from_pairs(columns: Callable[[Matrix, Matrix], Matrix], batch: Batch) -> Scored:
    assert batch.reference is not None
    names = pick_floats(batch.outputs, batch.output)
    return columns(*flatten_pair(batch.outputs, batch.reference, names, batch.samples)), names


def _agreement(batch: Batch) -> Scored:
    reference = batch.reference
    assert reference is not None
    name = pick_scores(batch.outputs, batch.output)
    other = reference[name] if name in reference else reference[pick_scores(reference, None)]
    return agreement_columns(batch.outputs[name], other), (name,)


def _pick_scores(outputs: Feed, named: str | None, labels: Array) -> str:
    return pick_scores(outputs, named)


def _top(count: int, about: str) -> Metric:
    columns = top1_columns if count == 1 else partial(topk_columns, count=count)
    score = partial(_from_labels, _pick_scores, columns)
    return Metric(f"top{count}", about, "labels", score, mean_of, is_share=True, is_ratio=True)


def _classes(batch: Batch) -> Scored:
    """Counts of each class: of the one answer of a position, or of the several of a sample."""
    labels = batch.labels
    assert labels is not None
    name = pick_class_map(batch.outputs, batch.output, labels)
    scores = batch.outputs[name]
    if is_multilabel(scores.shape, labels):
        return multilabel_columns(scores, labels, threshold_of(name, batch.probabilities)), (name,)
    return class_columns(scores, labels), (name,)


def _of_classes(name: str, about: str, statistic: Callable[[Matrix], Matrix]) -> Metric:
    return Metric(name, about, "labels", _classes, statistic, is_ratio=True, by_class=True)


def _of_numbers(
    name: str,
    about: str,
    columns: Callable[[Array, Array], Matrix],
    statistic: Callable[[Matrix], Matrix],
    higher_is_better: bool = False,
) -> Metric:
    score = partial(_from_labels, pick_numbers, columns)
    return Metric(name, about, "labels", score, statistic, higher_is_better=higher_is_better)


_TABLE = (
    _top(1, "share of samples whose label has the highest score"),
    _top(5, "share of samples whose label is among the 5 highest scores; topK for any K"),
    _of_classes("f1", "F1, the mean over classes", macro_f1),
    _of_classes(
        "f1-micro", "F1 of all classes together: of maps, the share of positions that are right", micro_f1
    ),
    _of_classes("miou", "intersection over union, the mean over classes", mean_iou),
    _of_numbers("mae", "mean absolute error", absolute_columns, mean_of),
    _of_numbers("rmse", "root mean square error", square_columns, root_mean),
    _of_numbers("r2", "share of the labels' variance that is explained", variance_columns, r_squared, True),
    Metric(
        "retrieval",
        "share of embeddings whose nearest other one, by cosine, has the same label",
        "labels",
        partial(_from_labels, _pick_scores, nearest_columns),
        mean_of,
        is_share=True,
        is_ratio=True,
        whole=True,
    ),
    Metric(
        "cosine",
        "mean cosine of each sample's outputs with the reference's",
        "reference",
        partial(_from_pairs, cosine_columns),
        mean_of,
    ),
    Metric(
        "sqnr",
        "energy of the reference's outputs over that of the error, in dB",
        "reference",
        partial(_from_pairs, sqnr_columns),
        sqnr_db,
    ),
    Metric(
        "agreement",
        "share of samples that get the reference's answer",
        "reference",
        _agreement,
        mean_of,
        is_share=True,
        is_ratio=True,
    ),
)

METRICS = {metric.name: metric for metric in _TABLE}
"""The metrics that have a name; anything else is ``topK`` or ``file.py:function``."""


def find_metric(name: str) -> Metric:
    """A metric by its name.

    Args:
        name: One of :data:`METRICS`, or ``topK`` with any K.

    Raises:
        UsageError: Nothing is called so.
    """
    if name in METRICS:
        return METRICS[name]
    if match := re.fullmatch(r"top([1-9][0-9]{0,5})", name):
        return _top(int(match[1]), f"share of samples whose label is among the {match[1]} highest scores")
    raise UsageError(f"unknown metric {name!r}", remedy=f"use {', '.join(METRICS)}, topK or file.py:function")
