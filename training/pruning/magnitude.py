"""Gradual pruning of single weights: the smallest go, and stay zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import nn

from ...core.errors import UsageError
from ..lesson import StepHook
from .layout import weights_of
from .schedule import CubicSchedule

WeightScope = Literal["global", "layer"]

WEIGHT_SCOPES: tuple[WeightScope, ...] = ("global", "layer")


class GradualMagnitude(StepHook):
    """Sets the smallest weights to zero, more and more of them (Zhu & Gupta 2017, arXiv:1710.01878).

    A weight that is gone stays gone: the masks are applied after every step.

    Args:
        schedule: The share of the weights that is to be gone by when.
        scope: ``global`` lets all weights compete, ``layer`` takes the same share of each parameter.
        names: The parameters; all of two and more dimensions where not given.
    """

    def __init__(
        self,
        schedule: CubicSchedule,
        *,
        scope: WeightScope = "global",
        names: Iterable[str] | None = None,
    ) -> None:
        if scope not in WEIGHT_SCOPES:
            raise UsageError(f"scope {scope!r}", remedy=f"choose one of {', '.join(WEIGHT_SCOPES)}")
        self.schedule, self.scope = schedule, scope
        self.names = None if names is None else tuple(names)
        self.masks: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def after_step(self, module: nn.Module, done: int, total: int) -> None:
        """Choose anew where that is due, and set to zero what is gone."""
        weights = weights_of(module, self.names)
        if self.schedule.is_due(done, total):
            self.masks = self._choose(weights, self.schedule.share(done, total))
        for name, mask in self.masks.items():
            weights[name].mul_(mask.to(weights[name]))

    def state(self) -> Mapping[str, torch.Tensor]:
        """Which weights stay, by parameter."""
        return dict(self.masks)

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over which weights stay."""
        self.masks = {name: mask.to(torch.bool) for name, mask in state.items()}

    def _choose(self, weights: Mapping[str, nn.Parameter], share: float) -> dict[str, torch.Tensor]:
        sizes = {name: self._sizes(name, weight) for name, weight in weights.items()}
        if self.scope == "layer":
            return {name: _kept(size, share).reshape(weights[name].shape) for name, size in sizes.items()}
        kept = torch.split(_kept(torch.cat(list(sizes.values())), share), [len(s) for s in sizes.values()])
        return {name: mask.reshape(weights[name].shape) for name, mask in zip(sizes, kept, strict=True)}

    def _sizes(self, name: str, weight: nn.Parameter) -> torch.Tensor:
        """How large each weight is, shape ``(weights,)``; -1 for what is gone already, so that it goes first."""
        size = weight.float().abs().reshape(-1)
        mask = self.masks.get(name)
        return size if mask is None else size.masked_fill(~mask.to(size.device).reshape(-1), -1.0)


def _kept(sizes: torch.Tensor, share: float) -> torch.Tensor:
    """All but a share, the smallest; at least one stays. A mask of shape ``(weights,)``."""
    mask = torch.ones(len(sizes), dtype=torch.bool, device=sizes.device)
    count = min(round(share * len(sizes)), len(sizes) - 1)
    mask[torch.topk(sizes, count, largest=False, sorted=False).indices] = False
    return mask
