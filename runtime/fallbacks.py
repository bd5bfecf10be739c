"""Where nodes ran, and why not where they were asked to.

No interface of ONNX Runtime tells why a provider did not take a node. Some providers log it, and what is not in the
log is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from .feeds import feed_of
from .ort_log import log_of_opening, reasons_of_nodes
from .placement import NodeTime, Placement, place
from .sessions import Session, open_session

NO_REASON = "ONNX Runtime gives no reason"

_RUNS = 5


@dataclass(frozen=True)
class Fallback:
    """A kernel that another provider ran.

    Attributes:
        node: The name of its node.
        op_type: Its operator.
        provider: The provider that ran it.
        median_ms: Milliseconds of one run of it, the median.
        reason: Why, as ONNX Runtime says it, or that it says nothing.
    """

    node: str
    op_type: str
    provider: str
    median_ms: float
    reason: str


@dataclass(frozen=True)
class ExplainedPlacement:
    """Where a model's nodes ran, and why not elsewhere.

    Attributes:
        asked: The provider as it was asked for.
        placement: What each provider ran.
        fallbacks: What did not run on the provider that was found, the slowest first.
        notes: What else has to be said, such as that the CPU stood in.
    """

    asked: str
    placement: Placement
    fallbacks: tuple[Fallback, ...]
    notes: tuple[str, ...]


def explain_placement(
    model: ModelArtifact,
    data: CalibrationData | None = None,
    provider: str = "cpu",
    *,
    batch: int = 1,
    threads: int = 0,
    allow_fallback: bool = False,
    provider_options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> ExplainedPlacement:
    """Run a model a few times, and say which provider ran which node and why.

    Args:
        model: The model.
        data: Samples to run; made up from the model's inputs where None.
        provider: The execution provider.
        batch: Samples in a run.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        allow_fallback: Whether the CPU may stand in for the provider.
        provider_options: Options for the provider, in its own words.
        seed: Seed of what is made up.

    Raises:
        ProviderError: The provider is not there or ran nothing.
        DataError: The samples do not fit the model.
    """
    session = open_session(
        model,
        provider,
        threads=threads,
        allow_fallback=allow_fallback,
        provider_options=provider_options,
        profile=True,
        profiled_runs=_RUNS,
    )
    feed = feed_of(model, data, batch, seed=seed)
    for _ in range(_RUNS):
        session.run(feed)
    placement = session.placement or place(session.provider, session.node_times)
    reasons = _reasons(session, placement, provider_options)
    fallbacks = tuple(_fallback(kernel, reasons.get(kernel.node)) for kernel in placement.elsewhere)
    return ExplainedPlacement(provider, placement, fallbacks, tuple(session.notes))


def _reasons(
    session: Session, placement: Placement, provider_options: Mapping[str, str] | None
) -> dict[str, str]:
    if session.choice.note:  # nothing runs where it was asked to, for one and the same reason
        return {kernel.node: session.choice.note for kernel in placement.elsewhere}
    if not placement.elsewhere:
        return {}
    return reasons_of_nodes(
        log_of_opening(session.model, session.provider, provider_options), session.provider
    )


def _fallback(kernel: NodeTime, reason: str | None) -> Fallback:
    return Fallback(
        kernel.node, kernel.op_type, kernel.provider, kernel.median_us / 1000, reason or NO_REASON
    )
