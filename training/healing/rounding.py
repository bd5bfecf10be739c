"""Fake quantization: numbers rounded on the way forward, with straight-through gradients (arXiv:1308.3432) on the way back.

Scales are trained too (learned step sizes, Esser et al. 2020, arXiv:1902.08153), as logarithms: a step of the optimizer is
then a share of the scale, whatever its size, and a scale stays positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn
from torch.nn.utils import parametrize

from ...core.errors import UsageError
from ..graph import TrainableGraph, default_choice
from ..graph.operators.quantized import round_through

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rounding:
    """A weight that is rounded in training.

    Attributes:
        initializer: Its name in the graph.
        scale: The scales to begin with, of a shape that broadcasts to the weight.
        lowest: The smallest integer.
        highest: The largest integer.
    """

    initializer: str
    scale: Array
    lowest: int
    highest: int


class RoundedWeight(nn.Module):
    """``clip(round(w / s)) * s`` with a trained ``s`` for each channel.

    Args:
        rounding: The scales to begin with, and the integers.
    """

    shape: tuple[int, ...]

    def __init__(self, rounding: Rounding) -> None:
        super().__init__()
        self.shape = rounding.scale.shape
        self.lowest, self.highest = rounding.lowest, rounding.highest
        # One dimension: what has more is a weight to the optimizer, and decays.
        self.log_scale = nn.Parameter(torch.from_numpy(np.log(rounding.scale.reshape(-1))))

    @property
    def scale(self) -> torch.Tensor:
        """The scales, of a shape that broadcasts to the weight."""
        return self.log_scale.exp().reshape(self.shape)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """What is left of the weight."""
        scale = self.scale
        # The gradient of a scale sums over all its weights; without the factor of section 2.2 it drowns the others'.
        share = 1.0 / math.sqrt(weight.numel() / scale.numel() * self.highest)
        scale = scale * share + (scale - scale * share).detach()
        steps = (weight / scale).clamp(self.lowest, self.highest)
        return round_through(steps) * scale


class LogScale(nn.Module):
    """A positive number, trained as its logarithm."""

    def forward(self, logarithm: torch.Tensor) -> torch.Tensor:
        """The number."""
        return logarithm.exp()

    def right_inverse(self, number: torch.Tensor) -> torch.Tensor:
        """Its logarithm."""
        return number.log()


class RoundedGraph:
    """A graph whose weights are rounded in every forward pass, and whose scales are trained.

    Args:
        model: Its activations go through QuantizeLinear and DequantizeLinear, its weights are float.
        weights: The weights to round.
        scales: Initializers that hold scales of activations.

    Raises:
        ModelError: An operator cannot be trained; it is named.
        UsageError: A tensor is not in the graph.

    Attributes:
        module: What is trained.
    """

    def __init__(self, model: ir.Model, weights: Iterable[Rounding], scales: Iterable[str]) -> None:
        trained = sorted(set(scales))
        self.module = TrainableGraph(model, is_trained=lambda w: w.name in trained or default_choice(w))
        self._own = {name: torch_name for torch_name, name in self.module.initializer_names.items()}
        self._weights: dict[str, RoundedWeight] = {}
        for rounding in weights:
            self._weights[rounding.initializer] = RoundedWeight(rounding)
            self._register(rounding.initializer, self._weights[rounding.initializer])
        for name in trained:
            self._register(name, LogScale())

    def arrays(self) -> dict[str, Array]:
        """The trained tensors by the name of their initializer: weights before they are rounded."""
        found = {}
        for name, torch_name in self._own.items():
            tensor = getattr(self.module, torch_name)
            if name in self._weights:
                kept = self.module.parametrizations[torch_name]  # type: ignore[index]
                tensor = kept.original  # type: ignore[union-attr]
            found[name] = tensor.detach().cpu().numpy()
        return found

    def weight_scales(self) -> dict[str, Array]:
        """The scales of rounded weights now, by the name of the weight."""
        return {name: module.scale.detach().cpu().numpy() for name, module in self._weights.items()}

    def _register(self, name: str, module: nn.Module) -> None:
        if name not in self._own:
            raise UsageError(
                f"tensor {name!r} is not trained", remedy="name a float initializer of the graph"
            )
        parametrize.register_parametrization(self.module, self._own[name], module)
