"""Where the time of a model goes, node by node, against the work that each node does; and what a second model gains.

The models run in turns under ONNX Runtime's profiler. What a node gains is judged as whole models are: by the ratio
within each round, outside the noise that the first model shows against its own twin. Rates against the best node are
the roofline model without its memory line (Williams, Waterman and Patterson, CACM 52(4), 2009), as the bandwidth of a
machine is not measured here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.metrics import node_macs
from ..core.tensors import Feed
from .feeds import feed_of, fixed_batch
from .intervals import Matrix
from .kernel_times import Kernel, KernelTimes
from .node_times import REST, layers_of
from .optimized import CONVERSION_OPS, INTEGER_OPS
from .sessions import Session, open_session
from .verdict import Verdict, judge, noise_ratio, speed_ratio

LEAST_ROUNDS = 5
"""Fewer runs give no median that is worth showing."""

_TWIN = "\0twin"


@dataclass(frozen=True)
class ProfileOptions:
    """How models are profiled.

    Attributes:
        batch: Samples in a run.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Runs of each model, in turns, after one that does not count.
        provider: The execution provider.
        allow_fallback: Whether the CPU may stand in for the provider.
        seed: Seed of the order, of made-up samples and of intervals.
    """

    batch: int = 1
    threads: int = 0
    rounds: int = 30
    provider: str = "cpu"
    allow_fallback: bool = False
    seed: int = 0


@dataclass(frozen=True)
class NodeProfile:
    """One node of a model, with all that was fused into it.

    Attributes:
        node: Its name.
        kernels: Operators of the kernels that it became.
        is_integer: Whether one of them computes on integers.
        median_ms: Milliseconds of one run, the median.
        time_ratio: Share of the time of all kernels.
        macs: Multiply-accumulates of the batch; None where it has none, or a shape is unknown.
        gmacs_per_s: Billions of multiply-accumulates a second.
        rate_ratio: Share of the rate of the model's best node, 0 to 1.
    """

    node: str
    kernels: tuple[str, ...]
    is_integer: bool
    median_ms: float
    time_ratio: float
    macs: int | None
    gmacs_per_s: float | None
    rate_ratio: float | None


@dataclass(frozen=True)
class OperatorProfile:
    """All kernels of one operator.

    Attributes:
        op_type: The operator, as ONNX Runtime runs it.
        kernels: How many.
        median_ms: Milliseconds of one run: the medians, summed.
        time_ratio: Share of the time of all kernels.
    """

    op_type: str
    kernels: int
    median_ms: float
    time_ratio: float


@dataclass(frozen=True)
class ModelProfile:
    """Where the time of a model goes.

    Attributes:
        model: Its name.
        provider: The provider that it ran on.
        run_ms: Milliseconds of one run as a whole, the median; profiling makes it longer.
        kernels_ms: Milliseconds in kernels: their medians, summed.
        conversion_ms: Of these, between float and integers.
        conversion_ratio: The same as a share of the time in kernels.
        nodes: Its nodes, the slowest first.
        operators: Its operators, the slowest first.
        unmatched: Kernels that stand for no node of the model, such as changes of layout: times by operator.
        notes: What has to be said, such as that the CPU stood in.
    """

    model: str
    provider: str
    run_ms: float
    kernels_ms: float
    conversion_ms: float
    conversion_ratio: float
    nodes: tuple[NodeProfile, ...]
    operators: tuple[OperatorProfile, ...]
    unmatched: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NodeChange:
    """A node that both models have by name.

    Attributes:
        node: Its name.
        before_ms: Milliseconds in the first model.
        after_ms: Milliseconds in the second.
        speed_ratio: How many times faster the second is, the median over rounds; above 1 is faster.
        speed_low_ratio: Lower end of its 95 % interval.
        speed_high_ratio: Upper end.
        verdict: ``faster``, ``slower`` or ``no difference``.
        became_integer: Whether only the second computes it on integers.
    """

    node: str
    before_ms: float
    after_ms: float
    speed_ratio: float
    speed_low_ratio: float
    speed_high_ratio: float
    verdict: Verdict
    became_integer: bool


@dataclass(frozen=True)
class ProfileChange:
    """What the second model gains, node by node.

    Attributes:
        nodes: Nodes of both, those with the most time in the second first.
        only_before: Milliseconds of nodes that only the first has, or that were fused away in the second.
        only_after: Milliseconds of nodes that only the second has, conversions among them.
    """

    nodes: tuple[NodeChange, ...]
    only_before: Mapping[str, float]
    only_after: Mapping[str, float]

    @property
    def not_helped(self) -> tuple[NodeChange, ...]:
        """Nodes that became integer and are not faster for it."""
        return tuple(n for n in self.nodes if n.became_integer and n.verdict != "faster")


@dataclass(frozen=True)
class ProfileReport:
    """Profiles of one model or two.

    Attributes:
        options: How they were made.
        models: One for each model.
        change: What the second gains; None where there is one model.
    """

    options: ProfileOptions
    models: tuple[ModelProfile, ...]
    change: ProfileChange | None


def profile_models(
    models: Mapping[str, ModelArtifact],
    data: CalibrationData | None = None,
    options: ProfileOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ProfileReport:
    """Profile one model, or two against each other.

    Args:
        models: One or two models by name.
        data: Samples to run; made up from the models' inputs where None.
        options: How.
        progress: Told the rounds done and the rounds in all.

    Raises:
        UsageError: There are other than one or two models, or a number is out of range, or a batch is fixed.
        ProviderError: The provider is not there or ran nothing.
        DataError: The samples do not fit a model.
    """
    options = options or ProfileOptions()
    _check(models, data, options)
    opened = dict(models)
    if len(models) == 2:
        opened[_TWIN] = next(iter(models.values()))
    sessions = {name: _open(model, options) for name, model in opened.items()}
    feeds = {name: feed_of(m, data, options.batch, seed=options.seed) for name, m in opened.items()}
    _run_in_turns(sessions, feeds, options, progress)
    timed = {name: _NodeTimes(session) for name, session in sessions.items()}
    profiles = tuple(_profile(name, timed[name], feeds[name]) for name in models)
    if len(models) == 1:
        return ProfileReport(options, profiles, None)
    before, after = (timed[name] for name in models)
    return ProfileReport(options, profiles, _change(before, after, timed[_TWIN], options.seed))


class _NodeTimes:
    """The kernels of a session, gathered by the nodes of its model; the first run of each is left out."""

    def __init__(self, session: Session) -> None:
        self.session = session
        found = session.kernel_times or KernelTimes(np.zeros(1), {})
        self.runs_ms = found.runs_ms[1:]
        self.kernels: dict[Kernel, Matrix] = {k: times[1:] for k, times in found.kernels_ms.items()}
        layers = layers_of(session.model, {k.node: k.op_type for k in self.kernels}, session.provider)
        self.by_node: dict[str, dict[Kernel, Matrix]] = defaultdict(dict)
        for kernel, times in self.kernels.items():
            self.by_node[layers[kernel.node]][kernel] = times
        self.rest = self.by_node.pop(REST, {})

    def node_ms(self, node: str) -> Matrix:
        """Milliseconds of a node in each run."""
        total: Matrix = np.sum(list(self.by_node[node].values()), axis=0)
        return total

    def is_integer(self, node: str) -> bool:
        """Whether a node computes on integers."""
        return any(kernel.op_type in INTEGER_OPS for kernel in self.by_node[node])


def _check(
    models: Mapping[str, ModelArtifact], data: CalibrationData | None, options: ProfileOptions
) -> None:
    if len(models) not in {1, 2} or _TWIN in models:
        raise UsageError(f"{len(models)} models cannot be profiled", remedy="name one model, or two")
    if options.batch < 1 or options.rounds < LEAST_ROUNDS:
        raise UsageError(
            f"{options.rounds} rounds at batch {options.batch} are not possible",
            remedy=f"use at least {LEAST_ROUNDS} rounds and a batch from 1",
        )
    for name, model in models.items():
        if fixed_batch(model, data) not in {None, options.batch}:
            only = fixed_batch(model, data)
            raise UsageError(f"{name} takes a batch of {only} only", remedy=f"profile it with --batch {only}")


def _open(model: ModelArtifact, options: ProfileOptions) -> Session:
    return open_session(
        model,
        options.provider,
        threads=options.threads,
        allow_fallback=options.allow_fallback,
        profile=True,
        profiled_runs=options.rounds + 1,
        stop_spinning=True,
    )


def _run_in_turns(
    sessions: Mapping[str, Session],
    feeds: Mapping[str, Feed],
    options: ProfileOptions,
    progress: Callable[[int, int], None] | None,
) -> None:
    """One run of each that does not count, then rounds in an order that is shuffled anew."""
    random, names = np.random.default_rng(options.seed), list(sessions)
    for done in range(options.rounds + 1):
        for index in random.permutation(len(names)):
            sessions[names[index]].run(feeds[names[index]])
        if progress is not None and done:
            progress(done, options.rounds)


def _profile(name: str, timed: _NodeTimes, feed: Feed) -> ModelProfile:
    medians = {kernel: float(np.median(times)) for kernel, times in timed.kernels.items()}
    total = sum(medians.values())
    conversion = sum(ms for kernel, ms in medians.items() if kernel.op_type in CONVERSION_OPS)
    return ModelProfile(
        model=name,
        provider=timed.session.provider,
        run_ms=float(np.median(timed.runs_ms)),
        kernels_ms=total,
        conversion_ms=conversion,
        conversion_ratio=_ratio(conversion, total),
        nodes=_nodes(timed, feed, total),
        operators=tuple(
            OperatorProfile(op_type, count, ms, _ratio(ms, total))
            for op_type, (count, ms) in _operators(medians).items()
        ),
        unmatched={op: ms for op, (_, ms) in _operators({k: medians[k] for k in timed.rest}).items()},
        notes=tuple(timed.session.notes),
    )


def _nodes(timed: _NodeTimes, feed: Feed, total_ms: float) -> tuple[NodeProfile, ...]:
    """The nodes, the slowest first, against the work that each does."""
    counted = node_macs(timed.session.model.load(), {name: array.shape for name, array in feed.items()})
    macs = {node.name: count for node, count in counted.items() if node.name}
    medians = {node: float(np.median(timed.node_ms(node))) for node in timed.by_node}
    rates = {n: count / medians[n] / 1e6 for n, count in macs.items() if count and medians.get(n)}
    best = max(rates.values(), default=None)
    return tuple(
        NodeProfile(
            node=node,
            kernels=tuple(kernel.op_type for kernel in timed.by_node[node]),
            is_integer=timed.is_integer(node),
            median_ms=medians[node],
            time_ratio=_ratio(medians[node], total_ms),
            macs=macs.get(node),
            gmacs_per_s=rates.get(node),
            rate_ratio=rates[node] / best if best and node in rates else None,
        )
        for node in sorted(medians, key=lambda name: -medians[name])
    )


def _ratio(part_ms: float, total_ms: float) -> float:
    """A share; 0 where everything is too short for the profile to count."""
    return part_ms / total_ms if total_ms else 0.0


def _operators(medians: Mapping[Kernel, float]) -> dict[str, tuple[int, float]]:
    """Kernels and milliseconds of each operator, the slowest first."""
    found: dict[str, list[float]] = defaultdict(list)
    for kernel, ms in medians.items():
        found[kernel.op_type].append(ms)
    return {
        op_type: (len(ms), sum(ms)) for op_type, ms in sorted(found.items(), key=lambda item: -sum(item[1]))
    }


def _change(before: _NodeTimes, after: _NodeTimes, twin: _NodeTimes, seed: int) -> ProfileChange:
    shared = [node for node in after.by_node if node in before.by_node]
    changes = [_node_change(node, before, after, twin, seed) for node in shared]
    return ProfileChange(
        nodes=tuple(sorted(changes, key=lambda change: -change.after_ms)),
        only_before=_only(before, after),
        only_after=_only(after, before),
    )


def _only(one: _NodeTimes, other: _NodeTimes) -> dict[str, float]:
    medians = {n: float(np.median(one.node_ms(n))) for n in one.by_node if n not in other.by_node}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


# A profile counts whole microseconds, and a kernel that takes less shows none.
_TICK_MS = 1e-3


def _node_change(node: str, before: _NodeTimes, after: _NodeTimes, twin: _NodeTimes, seed: int) -> NodeChange:
    times, new, again = (np.maximum(t.node_ms(node), _TICK_MS) for t in (before, after, twin))
    noise = noise_ratio(times, again, seed=seed)
    ratio = speed_ratio(times, new, seed=seed)
    return NodeChange(
        node=node,
        before_ms=float(np.median(before.node_ms(node))),
        after_ms=float(np.median(after.node_ms(node))),
        speed_ratio=ratio.value,
        speed_low_ratio=ratio.low,
        speed_high_ratio=ratio.high,
        verdict=judge(ratio, noise),
        became_integer=after.is_integer(node) and not before.is_integer(node),
    )
