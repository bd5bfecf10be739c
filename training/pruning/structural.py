"""Gradual pruning of whole neurons: those that matter least go, and stay zero until they are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from ...core.errors import UsageError
from ..lesson import StepHook
from .groups import NeuronGroup
from .layout import Layout
from .schedule import CubicSchedule

NeuronScope = Literal["global", "local"]

NEURON_SCOPES: tuple[NeuronScope, ...] = ("global", "local")


class GradualStructural(StepHook):
    """Sets the neurons that matter least to zero, more and more of them, by a cubic schedule.

    What a neuron matters is the norm of all that makes and reads it, each tensor in units of its group's mean.

    The schedule's share is that of the module's parameters: what a cut will take away. A neuron that is gone stays gone:
    all that makes and reads it is set to zero after every step.

    Args:
        groups: The neurons.
        schedule: The share of the parameters that is to be gone by when.
        scope: ``global`` ranks all neurons together, each in units of its group's mean; ``local`` takes the same
            share of each group.
        multiple: Widths are kept at multiples of this, as far as a group has that many.

    Raises:
        UsageError: There are no groups, or a word or number is none of those.
    """

    def __init__(
        self,
        groups: Sequence[NeuronGroup],
        schedule: CubicSchedule,
        *,
        scope: NeuronScope = "global",
        multiple: int = 1,
    ) -> None:
        if scope not in NEURON_SCOPES:
            raise UsageError(f"scope {scope!r}", remedy=f"choose one of {', '.join(NEURON_SCOPES)}")
        if multiple < 1:
            raise UsageError(f"widths in multiples of {multiple}", remedy="give at least 1")
        if not groups:
            raise UsageError("there are no neurons to prune", remedy="give at least one group")
        self.groups, self.schedule = tuple(groups), schedule
        self.scope, self.multiple = scope, multiple
        self._layout: Layout | None = None
        self.alive = [torch.ones(group.width, dtype=torch.bool) for group in self.groups]

    def before_step(self, module: nn.Module, done: int, total: int) -> None:
        """Refuse, at the beginning, a share that cannot be reached.

        Raises:
            UsageError: The narrowest groups leave more parameters than the schedule wants.
        """
        if done == 0:
            layout = Layout(self.groups, module)
            least = layout.params_left([self._rounded(0, group.width) for group in self.groups])
            if least > (1 - self.schedule.final) * layout.total:
                raise UsageError(
                    f"{self.schedule.final:.0%} of the parameters are to go, and the groups hold no more than "
                    f"{1 - least / layout.total:.0%}",
                    remedy="give a smaller final share, or a smaller multiple",
                )

    def after_step(self, module: nn.Module, done: int, total: int) -> None:
        """Choose anew where that is due, and set to zero what is gone."""
        self._layout = layout = Layout.again(self._layout, self.groups, module)
        if self.schedule.is_due(done, total):
            self.alive = self._choose(layout, self.schedule.share(done, total))
        layout.scale([mask.float() for mask in self.alive])

    def state(self) -> Mapping[str, torch.Tensor]:
        """Which neurons stay, by the group's position."""
        return {str(index): mask for index, mask in enumerate(self.alive)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over which neurons stay."""
        self.alive = [state[str(index)].to(torch.bool) for index in range(len(self.groups))]

    def _choose(self, layout: Layout, share: float) -> list[torch.Tensor]:
        """The neurons that stay: as many as the share allows."""
        # The optimizer moves what is gone, which is to count for nothing.
        layout.scale([mask.float() for mask in self.alive])
        scores = [s.masked_fill(~a, -1.0) for s, a in zip(layout.importance(), self.alive, strict=True)]
        widths_at = self._widths(scores)
        budget = (1 - share) * layout.total
        low, high = 0, sum(group.width for group in self.groups)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if layout.params_left(widths_at(middle)) <= budget else (low, middle - 1)
            )
        return [_largest(s, width) for s, width in zip(scores, widths_at(low), strict=True)]

    def _widths(self, scores: Sequence[torch.Tensor]) -> Callable[[int], list[int]]:
        """From how many neurons stay, over all groups, to the width of each; it rises with their number."""
        living = [int(mask.sum()) for mask in self.alive]
        sizes = [group.width for group in self.groups]
        owners = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        ranking = owners[torch.cat(list(scores)).argsort(descending=True, stable=True)]

        def local(count: int) -> list[int]:
            return [round(size * count / sum(sizes)) for size in sizes]

        def ranked(count: int) -> list[int]:
            return torch.bincount(ranking[:count], minlength=len(sizes)).tolist()

        wanted = local if self.scope == "local" else ranked
        return lambda count: [
            min(self._rounded(width, size), left)
            for width, size, left in zip(wanted(count), sizes, living, strict=True)
        ]

    def _rounded(self, width: int, size: int) -> int:
        """The next width that is allowed."""
        return min(max(-(-width // self.multiple), 1) * self.multiple, size)


def _largest(scores: torch.Tensor, width: int) -> torch.Tensor:
    """The largest, as a mask of shape ``(neurons,)``."""
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[scores.argsort(descending=True, stable=True)[:width]] = True
    return mask
