"""Penalties that make weights or whole neurons exactly zero, as proximal steps after the optimizer's.

A penalty's gradient makes weights small and never zero. Its proximal step, ``argmin_v ||v - w||² / 2 + t R(v)`` with
the learning rate in ``t``, does (Parikh & Boyd 2014, "Proximal Algorithms", section 4.2). It is a function of the step,
so that nothing has to be kept between two of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ...core.errors import UsageError
from ..lesson import StepHook
from ..options import TrainOptions
from ..schedule import rate_factor
from .groups import NeuronGroup
from .layout import Layout, weights_of

_DIGITS = 9
"""Decimals that count where a share of steps becomes a step."""

_LEAST = 1e-3
"""The least importance that a strength is divided by."""


class Penalty(StepHook, ABC):
    """A penalty that takes its share of every step.

    Args:
        strength: Its weight in the loss.
        options: Those of the training: a step of the penalty is as long as the optimizer's.
        warmup: Share of the steps in which the strength rises from 0.
        end: Share of the steps after which the penalty rests: what is zero stays zero, and the rest heals.

    Raises:
        UsageError: The strength is negative, or a share is none.
    """

    def __init__(
        self, strength: float, options: TrainOptions, *, warmup: float = 0.0, end: float = 1.0
    ) -> None:
        if not strength >= 0:
            raise UsageError(f"penalty of strength {strength}", remedy="give a strength of at least 0")
        if not 0 <= warmup <= end <= 1 or not end:
            raise UsageError(
                f"warm-up over {warmup} and an end after {end} of the steps",
                remedy="give shares from 0 to 1, the warm-up before the end",
            )
        self.strength, self.options, self.warmup, self.end = strength, options, warmup, end
        self._zeros: list[tuple[nn.Parameter, torch.Tensor]] = []

    def before_step(self, module: nn.Module, done: int, total: int) -> None:
        """Note what is zero, where it is to stay so."""
        rests = done >= self._last(total)
        self._zeros = [(p, p.detach() == 0) for p in self.concerned(module)] if rests else []

    @torch.no_grad()
    def after_step(self, module: nn.Module, done: int, total: int) -> None:
        """Shrink, as far as this step goes; or keep what is zero."""
        for parameter, zeros in self._zeros:
            parameter.masked_fill_(zeros, 0)
        length = self.length(done, total)
        if length > 0:
            self.shrink(module, length)

    def first_epoch(self, epochs: int) -> int:
        """The first epoch after which nothing more becomes zero: the first whose weights are worth keeping."""
        return max(1, self._last(epochs))

    def length(self, done: int, total: int) -> float:
        """How far a step goes: the learning rate it was made with, times the strength at that time.

        Args:
            done: Steps taken so far, this one included.
            total: Steps in all.
        """
        if done > self._last(total):
            return 0.0
        options = self.options
        rate = options.learning_rate * rate_factor(options.schedule, done - 1, total, options.warmup_ratio)
        return rate * self.strength * min(1.0, done / (self.warmup * total) if self.warmup else 1.0)

    def _last(self, total: int) -> int:
        """The last step in which the penalty works."""
        return math.ceil(round(self.end * total, _DIGITS))

    @abstractmethod
    def concerned(self, module: nn.Module) -> Sequence[nn.Parameter]:
        """The parameters that are punished.

        Args:
            module: The module.
        """

    @abstractmethod
    def shrink(self, module: nn.Module, length: float) -> None:
        """Make weights smaller.

        Args:
            module: The module.
            length: How far.
        """


class WeightPenalty(Penalty):
    """A penalty on single weights.

    Args:
        strength: Its weight in the loss.
        options: Those of the training.
        warmup: Share of the steps in which the strength rises from 0.
        end: Share of the steps after which the penalty rests.
        names: The parameters; all of two and more dimensions where not given.
    """

    def __init__(
        self,
        strength: float,
        options: TrainOptions,
        *,
        warmup: float = 0.0,
        end: float = 1.0,
        names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(strength, options, warmup=warmup, end=end)
        self.names = None if names is None else tuple(names)

    def concerned(self, module: nn.Module) -> Sequence[nn.Parameter]:
        """The weights."""
        return list(weights_of(module, self.names).values())

    @torch.no_grad()
    def shrink(self, module: nn.Module, length: float) -> None:
        """Make the weights smaller."""
        for weight in self.concerned(module):
            weight.copy_(self.moved(weight, length))

    @abstractmethod
    def moved(self, weight: torch.Tensor, length: float) -> torch.Tensor:
        """Weights after a step.

        Args:
            weight: Weights before.
            length: How far.
        """


class L1Penalty(WeightPenalty):
    """``strength * Σ|w|``: every weight moves towards zero by the same amount, and stays there."""

    def moved(self, weight: torch.Tensor, length: float) -> torch.Tensor:
        """Soft thresholding."""
        return nn.functional.softshrink(weight, length)


class L2Penalty(WeightPenalty):
    """``strength * Σw² / 2``: every weight becomes smaller by the same factor; none becomes zero.

    This is weight decay, apart from the optimizer's momentum.
    """

    def moved(self, weight: torch.Tensor, length: float) -> torch.Tensor:
        """Divide by one and the length."""
        return weight / (1 + length)


class GroupLasso(Penalty):
    """``strength * Σ √n ||w||`` over neurons, with all ``n`` entries that make and read one (Wen et al. 2016, arXiv:1608.03665).

    A neuron whose norm falls below the threshold becomes zero as a whole, and with it nothing is lost by a cut. Groups
    are shrunk one after the other: a weight between two neurons is shrunk for both, which for groups that overlap is
    the step of their sum in the limit of small steps. The largest neuron of a group is left.

    Behind normalisation all norms shrink alike and little is chosen; ``adaptive`` punishes a neuron more the less it
    matters (Wang & Leng 2008, "A note on adaptive group lasso").

    Args:
        groups: The neurons.
        strength: Its weight in the loss.
        options: Those of the training.
        warmup: Share of the steps in which the strength rises from 0.
        end: Share of the steps after which the penalty rests.
        adaptive: A neuron's strength is divided by its importance, 1 being its group's mean, to this power.

    Raises:
        UsageError: There are no groups, or a number is none of those.
    """

    def __init__(
        self,
        groups: Sequence[NeuronGroup],
        strength: float,
        options: TrainOptions,
        *,
        warmup: float = 0.0,
        end: float = 1.0,
        adaptive: float = 0.0,
    ) -> None:
        super().__init__(strength, options, warmup=warmup, end=end)
        if not adaptive >= 0:
            raise UsageError(f"adaptive to the power of {adaptive}", remedy="give at least 0")
        if not groups:
            raise UsageError("there are no neurons to prune", remedy="give at least one group")
        self.groups, self.adaptive = tuple(groups), adaptive
        self._layout: Layout | None = None

    def concerned(self, module: nn.Module) -> Sequence[nn.Parameter]:
        """All that makes and reads neurons."""
        names = dict.fromkeys(part.parameter for group in self.groups for part in group.slices)
        return [module.get_parameter(name) for name in names]

    def shrink(self, module: nn.Module, length: float) -> None:
        """Soft thresholding of norms."""
        self._layout = layout = Layout.again(self._layout, self.groups, module)
        thresholds = [length * entries**0.5 * torch.ones(()) for entries in layout.entries()]
        if self.adaptive:
            weights = [i.clamp(min=_LEAST) ** -self.adaptive for i in layout.importance()]
            thresholds = [t * w for t, w in zip(thresholds, weights, strict=True)]
        layout.scale([_factors(n, t) for n, t in zip(layout.norms(), thresholds, strict=True)])


def _factors(norms: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """What each neuron is multiplied by, shape ``(width,)``."""
    factors = (1 - thresholds / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(min=0)
    if not factors.any():
        factors[norms.argmax()] = 1
    return factors
