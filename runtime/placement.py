"""Which provider ran which node: read from a profile of one run, and judged.

``session.get_providers()`` says what a session holds, not what it uses. The profile that ONNX Runtime writes
names the provider of every kernel that ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..core.errors import ProviderError
from .providers import CPU, Choice, driver_remedy

_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class NodeTime:
    """One node of the optimised graph, as it ran.

    Attributes:
        node: Its name; fused nodes carry the name of one of their parts.
        op_type: Its operator.
        provider: The provider that ran it.
        time_us: Microseconds in its kernel, summed over the runs of the profile.
        runs: How often it ran.
        median_us: Microseconds of one run, the median.
    """

    node: str
    op_type: str
    provider: str
    time_us: float
    runs: int
    median_us: float


@dataclass(frozen=True)
class ProviderShare:
    """What one provider ran.

    Attributes:
        provider: Its name.
        nodes: How many nodes it ran: as they were when ONNX Runtime divided them among providers, where it tells,
            so that a subgraph compiled into one kernel counts in full; kernels where it does not.
        node_ratio: Their share of all nodes.
        time_ratio: Their share of all kernel time.
        kernels: How many kernels it ran; fusion makes them fewer than the nodes.
    """

    provider: str
    nodes: int
    node_ratio: float
    time_ratio: float
    kernels: int


@dataclass(frozen=True)
class Placement:
    """Where a model's nodes ran.

    Attributes:
        requested: The provider asked for.
        shares: One row for each provider that ran something, the one asked for first.
        elsewhere: Nodes that another provider ran, the slowest first.
    """

    requested: str
    shares: tuple[ProviderShare, ...]
    elsewhere: tuple[NodeTime, ...]

    @property
    def requested_ratio(self) -> float:
        """Share of nodes that the requested provider ran, 0 to 1."""
        return next((s.node_ratio for s in self.shares if s.provider == self.requested), 0.0)


def parse_profile(events: Sequence[Mapping[str, Any]]) -> tuple[NodeTime, ...]:
    """Read which kernels ran from a profile, in the order of their first run.

    Args:
        events: The parsed JSON of ONNX Runtime's profile.

    Returns:
        One entry for each node; repeated runs of a node are summed.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and arguments.get("provider"):
            name = str(event["name"]).removesuffix("_kernel_time")
            key = (name, str(arguments.get("op_name", "")), str(arguments["provider"]))
            found.setdefault(key, []).append(float(event.get("dur", 0)))
    return tuple(
        NodeTime(*key, time_us=sum(times), runs=len(times), median_us=median(times))
        for key, times in found.items()
    )


def place(
    requested: str, kernels: Sequence[NodeTime], assigned: Mapping[str, int] | None = None
) -> Placement:
    """Sum up what each provider ran.

    Args:
        requested: The provider asked for.
        kernels: What ran.
        assigned: How many nodes of the graph ONNX Runtime gave to each provider, where it tells.
    """
    total_us = sum(_weight_us(k) for k in kernels)
    names = sorted({k.provider for k in kernels}, key=lambda name: (name != requested, name))
    ran = {name: [k for k in kernels if k.provider == name] for name in names}
    nodes = {name: (assigned or {}).get(name) or len(ran[name]) for name in names}
    all_nodes = sum(nodes.values())
    shares = [
        ProviderShare(
            provider=name,
            nodes=nodes[name],
            node_ratio=nodes[name] / all_nodes,
            time_ratio=sum(map(_weight_us, ran[name])) / total_us if total_us else nodes[name] / all_nodes,
            kernels=len(ran[name]),
        )
        for name in names
    ]
    elsewhere = sorted((k for k in kernels if k.provider != requested), key=lambda k: -k.time_us)
    return Placement(requested, tuple(shares), tuple(elsewhere))


def _weight_us(kernel: NodeTime) -> float:
    """What a kernel takes in all of its runs, the first and slow one counting as any other."""
    return kernel.median_us * kernel.runs


def check_placement(choice: Choice, placement: Placement, *, allow_fallback: bool = False) -> str | None:
    """Check that the provider ran something, and say what it did not run.

    Args:
        choice: What was asked for.
        placement: What ran where.
        allow_fallback: Whether a provider that ran nothing is a note instead of an error.

    Returns:
        A note on the nodes that ran elsewhere, or None where there are none.

    Raises:
        ProviderError: The provider ran no node at all.
    """
    if placement.requested_ratio == 0.0 and placement.elsewhere:
        cause = f"{choice.name} was asked for and ran none of {len(placement.elsewhere)} nodes"
        if allow_fallback:
            return cause
        raise ProviderError(cause, remedy=_nothing_ran_remedy(choice.name))
    if not placement.elsewhere:
        return None
    named = ", ".join(f"{n.node} ({n.op_type})" for n in placement.elsewhere[:_NAMED_AT_MOST])
    more = len(placement.elsewhere) - _NAMED_AT_MOST
    tail = f" and {more} more" if more > 0 else ""
    return f"{len(placement.elsewhere)} nodes did not run on {choice.name}: {named}{tail}"


def _nothing_ran_remedy(provider: str) -> str:
    hint = driver_remedy(provider) if provider != CPU else "export the model again"
    return f"{hint}; or the model has no operator that it supports; --allow-fallback accepts the CPU"
