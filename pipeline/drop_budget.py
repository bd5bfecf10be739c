"""Quantization within an accuracy budget: the worst nodes go back to float until it holds."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..passes.quantization import QuantizeReport
from ..runtime import Accuracy, NodePlacement, evaluate
from .monitor import Monitor

ROUNDING = 1e-9
"""A difference of two shares misses its own value by less than this."""

_UNBOUNDED = frozenset({"sqnr"})
"""Metrics that are infinite for the float model itself, so that nothing can be lost of them."""


@dataclass(frozen=True)
class Candidate:
    """A quantized model that may hold the budget.

    Attributes:
        model: The model.
        report: How it was quantized.
        placement: What ONNX Runtime runs on integers; None for a target that is not this CPU.
    """

    model: ModelArtifact
    report: QuantizeReport
    placement: tuple[NodePlacement, ...] | None = None


@dataclass(frozen=True)
class DropBudget:
    """How an accuracy budget was met.

    Attributes:
        metric: What was measured.
        max_drop: What may be lost.
        before: The float model.
        after: The quantized model.
        lost: How much was lost; negative where the quantized model is better.
        restored: Nodes that were put back to float, worst first.
    """

    metric: str
    max_drop: float
    before: Accuracy
    after: Accuracy
    lost: float
    restored: tuple[str, ...]


@dataclass(frozen=True)
class Judge:
    """Says how much a quantized model loses.

    Attributes:
        original: The float model.
        data: The samples to judge on.
        metric: What is measured.
        threads: Threads of the evaluation.

    Raises:
        UsageError: There are no samples, or nothing of the metric can be lost.
    """

    original: ModelArtifact
    data: CalibrationData | None
    metric: str
    threads: int = 0

    def __post_init__(self) -> None:
        if self.data is None:
            raise UsageError("--max-drop needs samples to judge on", remedy="add --eval DATA")
        if self.metric in _UNBOUNDED:
            remedy = "judge with top1, cosine, agreement or file.py:function"
            raise UsageError(f"{self.metric} has no drop", remedy=remedy)

    @cached_property
    def before(self) -> Accuracy:
        """The float model's figure."""
        return self.measure(self.original)

    def measure(self, model: ModelArtifact) -> Accuracy:
        """A model's figure."""
        return evaluate(model, self.data, self.metric, threads=self.threads, reference=self.original)

    def budget(self, candidate: Candidate, max_drop: float, restored: tuple[str, ...]) -> DropBudget:
        """What a candidate loses."""
        after = self.measure(candidate.model)
        sign = 1 if self.before.higher_is_better else -1
        lost = sign * (self.before.value - after.value)
        return DropBudget(self.metric, max_drop, self.before, after, lost, restored)


def search_drop(
    judge: Judge,
    attempt: Callable[[Sequence[str]], Candidate],
    rank: Callable[[], Sequence[str]],
    *,
    max_drop: float,
    monitor: Monitor,
) -> tuple[Candidate, DropBudget]:
    """Quantize everything, then put as few of the worst nodes back to float as the budget needs.

    The nodes are ranked once by what each alone does to the outputs; the number put back is doubled until the budget
    holds, and then bisected.

    Args:
        judge: Says how much is lost.
        attempt: Quantizes with some nodes left in float, given as globs.
        rank: Names the integer nodes, worst first; asked only where the budget does not hold at once.
        max_drop: How much of the metric may be lost.
        monitor: Is told of each try.

    Raises:
        ExpectationError: The budget cannot be held.
    """
    first = attempt(())
    ranking: Sequence[str] = ()
    tries: dict[int, tuple[Candidate, DropBudget]] = {}

    def holds(number: int) -> bool:
        candidate = first if number == 0 else attempt([glob.escape(name) for name in ranking[:number]])
        tries[number] = (candidate, judge.budget(candidate, max_drop, tuple(ranking[:number])))
        lost = tries[number][1].lost
        monitor.note(
            f"{number} nodes put back to float: {judge.metric} drops by {lost:.4f}, {max_drop:g} is allowed"
        )
        return lost <= max_drop + ROUNDING

    low, high = -1, 0
    while not holds(high):
        ranking = ranking or rank()
        if high >= len(ranking) - 1:
            raise _failure(tries, max_drop)
        low, high = high, min(max(1, 2 * high), len(ranking) - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return tries[high]


def _failure(tries: dict[int, tuple[Candidate, DropBudget]], max_drop: float) -> ExpectationError:
    best = min((budget for _, budget in tries.values()), key=lambda budget: budget.lost)
    worst = ", ".join(best.restored[:5]) or "none could be named"
    return ExpectationError(
        f"no choice of nodes holds {best.metric} within {max_drop:g}: the best loses {best.lost:.4f}",
        remedy=f"try --method percentile or more samples; the worst nodes: {worst}",
    )
