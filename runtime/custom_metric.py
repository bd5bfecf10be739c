"""Metrics that the user writes: ``file.py:function`` of a model's path, or of outputs and labels.

A function of outputs and labels may return one number, and is then called again without each of some groups of samples
for an interval; or a number for each sample, whose mean is the figure.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ModelArtifact
from ..core.errors import DataError, UsageError
from ..core.files import temporary_folder
from ..core.tensors import Array, Feed
from ..core.user_code import run_file
from .drop_test import DropTest, compare_figures, compare_jackknifed
from .intervals import Interval, Matrix, bootstrap, jackknife, mean_of

_GROUPS = 20
"""Groups of the jackknife, which is how often a function of outputs and labels is called again."""

_ENDS = ("low", "high")

_NO_INTERVAL = "no interval: the function returned one number"


@dataclass(frozen=True)
class CustomFigure:
    """What a user's metric returned.

    Attributes:
        metric: Its name: what the function says, or the function's own.
        value: The figure.
        low: Lower end of its interval, or None.
        high: Upper end.
        n: Samples it rests on; 0 where the function does not say.
        method: How the interval was made.
        outputs: The model outputs it was handed.
        provider: The provider the model ran on; empty where the function ran it.
        higher_is_better: Whether more is better.
        columns: The number of each sample and 1, shape ``(n, 2)``; None where the function gives one number for all.
        without: The figure with each group of samples left out in turn; None where it was not asked.
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
    columns: Matrix | None = None
    without: Matrix | None = None


def is_custom(metric: str) -> bool:
    """Whether a metric is written as ``file.py:function``."""
    return metric.rpartition(":")[0].endswith(".py")


def evaluate_custom(
    metric: str,
    model: ModelArtifact,
    run: Callable[[], tuple[Feed, str]],
    labels: Array | None,
    *,
    seed: int = 0,
) -> CustomFigure:
    """Call a user's metric: with one parameter it gets the model's path, with two outputs and labels.

    Args:
        metric: ``file.py:function``.
        model: The model; written to a temporary file where it is only in memory.
        run: Gives all outputs, stacked on axis 0, and the provider they were computed on.
        labels: Labels of the samples, or None.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The file or function is not there, or takes another number of parameters.
        DataError: It failed, or returned something that is not a finite number.
    """
    function = load_function(metric)
    name = metric.rpartition(":")[2]
    if count_parameters(function) == 1:
        with model_path(model) as path:
            return _figure(_call(metric, function, str(path)), name)
    outputs, provider = run()
    return _of_outputs(metric, function, outputs, labels, provider, seed)


def load_function(text: str) -> Callable[..., Any]:
    """Load a function from a Python file.

    Args:
        text: ``file.py:function``. The file is the user's own code and is executed.

    Raises:
        UsageError: The file or the function is not there, or the file fails.
    """
    file, _, name = text.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{file} is not a file", remedy="write it as file.py:function")
    try:
        module = run_file(path, "metric")
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise UsageError(f"{file} fails: {error}", remedy="run it with python to see where") from error
    if module is None:
        raise UsageError(f"{file} is not a Python file", remedy="write it as file.py:function")
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{file} has no function {name!r}", remedy="check the name behind the colon")
    return function  # type: ignore[no-any-return]


def count_parameters(function: Callable[..., Any]) -> int:
    """How many arguments a metric must be given: 1 (the path) or 2 (outputs, labels).

    Raises:
        UsageError: It is neither.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    count = sum(1 for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty)
    if count not in (1, 2):
        raise UsageError(
            f"the metric takes {count} arguments",
            remedy="write function(model_path) or function(outputs, labels)",
        )
    return count


@contextmanager
def model_path(model: ModelArtifact) -> Iterator[Path]:
    """A file that holds the model: its own, or a temporary one where it is only in memory."""
    if model.path is not None:
        yield model.path
        return
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        model.save(path)
        yield path


def _call(metric: str, function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise DataError(
            f"{metric} failed: {type(error).__name__}: {error}",
            remedy="run the function by hand on this model",
        ) from error


def custom_drop(
    first: CustomFigure, second: CustomFigure, *, seed: int = 0
) -> tuple[Interval, DropTest] | None:
    """What a second model loses of a user's metric, and whether that is real.

    Args:
        first: The first model's figure.
        second: The second's, on the same samples.
        seed: Seed of the bootstrap.

    Returns:
        None where the figures rest on nothing that could be paired.
    """
    better = first.higher_is_better
    if (first.n, first.metric, better) != (second.n, second.metric, second.higher_is_better):
        return None
    if first.columns is not None and second.columns is not None:
        return compare_figures(first.columns, second.columns, mean_of, higher_is_better=better, seed=seed)
    if first.without is not None and second.without is not None:
        values = (first.value, second.value)
        return compare_jackknifed(values, first.without, second.without, higher_is_better=better)
    return None


def _of_outputs(
    metric: str, function: Callable[..., Any], outputs: Feed, labels: Array | None, provider: str, seed: int
) -> CustomFigure:
    """Call on all samples; where one number comes back, on all but each of some groups too, for the interval."""
    count = len(next(iter(outputs.values())))
    everything = np.arange(count)

    def on(rows: Array) -> Any:
        chosen = None if labels is None else labels[rows]
        return _call(metric, function, {n: a[rows] for n, a in outputs.items()}, chosen)

    name = metric.rpartition(":")[2]
    result = on(everything)
    scores = _sample_scores(result, name, count)
    if scores is not None:
        figure = _of_samples(result, scores, name, seed)
    else:
        figure = _figure(result, name)
        groups = min(_GROUPS, count)
        if figure.low is None and groups > 1 and all(len(a) == count for a in outputs.values()):
            parts = (on(everything[everything % groups != group]) for group in range(groups))
            without = np.array([_number(part, metric) for part in parts])
            found = jackknife(figure.value, without)
            figure = replace(figure, low=found.low, high=found.high, method=found.method, without=without)
    return replace(figure, n=count, outputs=tuple(outputs), provider=provider)


def _sample_scores(result: Any, name: str, count: int) -> Matrix | None:
    """One number for each sample, shape ``(n,)``, where that is what came back."""
    found = result.get("value") if isinstance(result, Mapping) else result
    if not isinstance(found, np.ndarray) or found.shape != (count,) or count < 2:
        return None
    if found.dtype.kind not in "iufb" or not np.isfinite(found).all():
        raise DataError(f"{name} returned numbers that are not finite", remedy="return finite numbers")
    return found.astype(np.float64)


def _of_samples(result: Any, scores: Matrix, name: str, seed: int) -> CustomFigure:
    """The mean of the samples' numbers; a mapping says the rest, as with one number."""
    columns = np.stack([scores, np.ones(len(scores))], axis=1)
    found = bootstrap(columns, mean_of, seed=seed)
    rest = {k: v for k, v in result.items() if k not in _ENDS} if isinstance(result, Mapping) else {}
    figure = _figure({**rest, "value": found.value}, name)
    return replace(figure, low=found.low, high=found.high, method=found.method, columns=columns)


def _figure(result: Any, name: str) -> CustomFigure:
    """Read a number, or a mapping with ``value`` and perhaps low, high, n, metric, higher_is_better."""
    value = _number(result, name)
    if not isinstance(result, Mapping):
        return CustomFigure(name, value, None, None, 0, _NO_INTERVAL)
    has_interval = all(end in result for end in _ENDS)
    return CustomFigure(
        metric=str(result.get("metric", name)),
        value=value,
        low=_number(result["low"], name) if has_interval else None,
        high=_number(result["high"], name) if has_interval else None,
        n=int(result.get("n", 0)),
        method="the function's own interval" if has_interval else _NO_INTERVAL,
        higher_is_better=bool(result.get("higher_is_better", True)),
    )


def _number(result: Any, name: str) -> float:
    found: Any = result.get("value") if isinstance(result, Mapping) else result
    try:
        value = float(found)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} returned {type(found).__name__}, not a number",
            remedy="return a float, or a dict with 'value'",
        ) from error
    if not math.isfinite(value):
        raise DataError(f"{name} returned {value}", remedy="return a finite number")
    return value
