"""What a pruning did: the plan, the proof, what the repair gave, and why the rest stayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.reports import PassReport, Skip
from ..coupling import Coupling, Group
from .correction import CorrectionGain
from .plan import PrunePlan
from .proof import Proof
from .repair import RepairGain


@dataclass(frozen=True)
class GroupPlan:
    """What happens to one group.

    Attributes:
        name: The group's name.
        width_before: Neurons before.
        width_after: Neurons after.
        params_per_neuron: Parameters that one neuron cost at first.
        members: Initializers and axes it is cut from.
    """

    name: str
    width_before: int
    width_after: int
    params_per_neuron: int
    members: tuple[tuple[str, int], ...]

    @property
    def cut_share(self) -> float:
        """Share of the neurons that go, in [0, 1]."""
        return 1 - self.width_after / self.width_before


@dataclass(frozen=True)
class Round:
    """One round of collecting, cutting and repairing.

    Attributes:
        neurons_cut: Neurons taken out.
        proof: Masked original against cut model; None where nothing was cut.
        repairs: What the repair of each consumer gave.
        output_error: How far the outputs are from the original's on samples held out from the repair, as a share of
            their variance; None where the criterion does not look at them.
    """

    neurons_cut: int
    proof: Proof | None
    repairs: tuple[RepairGain, ...]
    output_error: float | None = None


@dataclass
class PruneReport(PassReport):
    """The report of a pruning.

    Attributes:
        plan: Every group with its width before and after.
        rounds: What each round did.
        proof: The worst of the rounds' proofs.
        corrections: What bringing each layer's outputs back to the original's gave.
        alignment: The multiple that widths were kept at.
        budget: What was asked for and what came out, as shares.
        cuts: Which neurons went, to be replayed.
        output_error: How far the outputs on held-out samples are from the original's in the end; None where the
            criterion does not look at them.
        stopped: Why less was cut than asked for; None where all was.
    """

    plan: list[GroupPlan] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    proof: Proof | None = None
    corrections: list[CorrectionGain] = field(default_factory=list)
    alignment: int = 1
    budget: dict[str, Any] = field(default_factory=dict)
    cuts: PrunePlan | None = None
    output_error: float | None = None
    stopped: str | None = None


def plan_groups(groups: tuple[Group, ...]) -> list[GroupPlan]:
    """The plan of each group before any cut."""
    return [
        GroupPlan(g.name, g.size, g.size, g.params, tuple((m.value.name or "", m.axis) for m in g.members))
        for g in groups
    ]


def with_widths(plan: list[GroupPlan], widths: Mapping[str, int]) -> list[GroupPlan]:
    """The plan with the widths that are left, by the group's name."""
    return [replace(group, width_after=widths.get(group.name, group.width_before)) for group in plan]


def told_widths(widths: Sequence[tuple[int, int]], alignment: int) -> str:
    """How many groups were cut, and to which widths, in words.

    Args:
        widths: Neurons of each group before and after.
        alignment: The multiple that was asked for; groups too narrow for it take a part of it.
    """
    cut = [before for before, after in widths if after < before]
    narrow = sum(before < 2 * alignment for before in cut)
    less = f"; {narrow} too narrow for that in multiples of a part of it" if narrow else ""
    return f"{len(cut)} of {len(widths)} groups cut, widths in multiples of {alignment}{less}"


def frozen_reasons(coupling: Coupling, excluded: dict[str, str]) -> list[Skip]:
    """Why each group that stays whole does, one line a group."""
    reasons = [
        Skip(g.name, g.frozen.axis, g.frozen.code, f"{g.size} neurons of {g.name} stay: {g.frozen.text}")
        for g in coupling.frozen
        if g.frozen is not None
    ]
    named = [
        Skip(name, None, "excluded", f"{name} stays: excluded by {glob}") for name, glob in excluded.items()
    ]
    return [*reasons, *named]


def worst_proof(rounds: list[Round]) -> Proof | None:
    """The proof with the largest difference."""
    proofs = [r.proof for r in rounds if r.proof is not None]
    return max(proofs, key=lambda p: p.largest_difference, default=None)
