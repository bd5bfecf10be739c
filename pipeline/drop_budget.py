"""Quantization within an accuracy budget: the worst nodes go back to 16 bits or to float until it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..passes.quantization import NodeEffect, QuantizeReport
from ..runtime import Accuracy, NodePlacement, evaluate
from .monitor import Monitor

ROUNDING = 1e-9
"""A difference of two shares misses its own value by less than this."""

UNBOUNDED = frozenset({"sqnr"})
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
class Relief:
    """Which nodes are spared 8-bit integers.

    Attributes:
        to_float: Nodes that compute in float, worst first.
        to_wide: Nodes whose activations have 16 bits, worst first.
        at_any_cost: Whether not even those are spared whose conversions are expected to cost more than they gain.
    """

    to_float: tuple[str, ...] = ()
    to_wide: tuple[str, ...] = ()
    at_any_cost: bool = False


@dataclass(frozen=True)
class Try:
    """One model that was judged.

    Attributes:
        to_float: How many of the worst nodes computed in float.
        to_wide: How many had 16-bit activations.
        value: The metric.
        lost: How much was lost.
    """

    to_float: int
    to_wide: int
    value: float
    lost: float


@dataclass(frozen=True)
class DropBudget:
    """How an accuracy budget was met, or how nearly.

    Attributes:
        metric: What was measured.
        max_drop: What may be lost.
        before: The float model.
        after: The quantized model.
        lost: How much was lost; negative where the quantized model is better.
        restored: Nodes that were put back to float, worst first.
        widened: Nodes whose activations got 16 bits, worst first.
        culprits: What each integer node alone does to the outputs, worst first; empty where nothing had to be put back.
        tries: Every model that was judged, in that order.
    """

    metric: str
    max_drop: float
    before: Accuracy
    after: Accuracy
    lost: float
    restored: tuple[str, ...]
    widened: tuple[str, ...] = ()
    culprits: tuple[NodeEffect, ...] = ()
    tries: tuple[Try, ...] = ()

    @property
    def held(self) -> bool:
        """Whether no more is lost than may be."""
        return self.lost <= self.max_drop + ROUNDING


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
        if self.metric in UNBOUNDED:
            remedy = "judge with top1, cosine, agreement or file.py:function"
            raise UsageError(f"{self.metric} has no drop", remedy=remedy)

    @cached_property
    def before(self) -> Accuracy:
        """The float model's figure."""
        return self.measure(self.original)

    def measure(self, model: ModelArtifact) -> Accuracy:
        """A model's figure."""
        return evaluate(model, self.data, self.metric, threads=self.threads, reference=self.original)

    def lost(self, after: Accuracy) -> float:
        """How much worse a figure is than the float model's; negative where it is better."""
        sign = 1 if self.before.higher_is_better else -1
        return sign * (self.before.value - after.value)

    def budget(self, candidate: Candidate, max_drop: float, relief: Relief) -> DropBudget:
        """What a candidate loses."""
        after = self.measure(candidate.model)
        return DropBudget(
            self.metric, max_drop, self.before, after, self.lost(after), relief.to_float, relief.to_wide
        )


def search_drop(
    judge: Judge,
    attempt: Callable[[Relief], Candidate],
    rank: Callable[[], Sequence[NodeEffect]],
    *,
    max_drop: float,
    monitor: Monitor,
    may_widen: bool = False,
) -> tuple[Candidate, DropBudget]:
    """Quantize everything, then take back as few of the worst nodes as the budget needs.

    The nodes are ranked once by what each alone does to the outputs. They go back one after another, worst first: to
    16-bit activations where the target has them, and when all have gone there, to float. How many is doubled until the
    budget holds, and then bisected.

    Args:
        judge: Says how much is lost.
        attempt: Quantizes with some nodes spared.
        rank: The effect of each integer node, worst first; asked only where the budget does not hold at once.
        max_drop: How much of the metric may be lost.
        monitor: Is told of each try.
        may_widen: Whether nodes can have 16-bit activations.

    Returns:
        The model with as few nodes taken back as hold the budget; where nothing holds it, the one that loses least.
    """
    search = _Search(judge, attempt, max_drop, monitor, may_widen)
    low, high = -1, 0
    while not search.holds(high):
        search.ranking = search.ranking or tuple(rank())
        if high >= search.last:
            return search.result(min(search.found, key=lambda step: (search.found[step][1].lost, step)))
        low, high = high, min(max(1, 2 * high), search.last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if search.holds(middle) else (middle, high)
    return search.result(high)


@dataclass
class _Search:
    """What was tried, by how many steps of relief it gave."""

    judge: Judge
    attempt: Callable[[Relief], Candidate]
    max_drop: float
    monitor: Monitor
    may_widen: bool
    ranking: tuple[NodeEffect, ...] = ()
    found: dict[int, tuple[Candidate, DropBudget]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The step that leaves one layer in integers: without any there is nothing to quantize."""
        layers = [index for index, effect in enumerate(self.ranking) if effect.macs]
        return max(layers, default=0) + len(self.ranking) * self.may_widen

    def relief(self, step: int) -> Relief:
        """Every node goes to 16 bits before the first goes to float."""
        names = tuple(effect.node for effect in self.ranking)
        if not self.may_widen:
            return Relief(names[:step])
        to_float = max(step - len(names), 0)
        return Relief(names[:to_float], names[to_float:step])

    def holds(self, step: int) -> bool:
        """Whether the budget holds after so many steps."""
        relief = self.relief(step)
        candidate = self.attempt(relief)
        self.found[step] = (candidate, self.judge.budget(candidate, self.max_drop, relief))
        budget = self.found[step][1]
        where = f"{len(relief.to_float)} nodes put back to float"
        if self.may_widen:
            where += f", {len(relief.to_wide)} to 16-bit activations"
        self.monitor.note(
            f"{where}: {self.judge.metric} drops by {budget.lost:.4f}, {self.max_drop:g} is allowed"
        )
        return budget.held

    def result(self, step: int) -> tuple[Candidate, DropBudget]:
        """The model of one step, with the table of all."""
        candidate, budget = self.found[step]
        tries = tuple(
            Try(len(b.restored), len(b.widened), b.after.value, b.lost) for _, b in self.found.values()
        )
        return candidate, replace(budget, culprits=self.ranking, tries=tries)
