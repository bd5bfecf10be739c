"""Two small classifiers of 28x28 grey images, and how to give one the widths of its pruned weights.

Needs torch alone: the environment of a peer reads this file too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

INPUT_SHAPE = (1, 1, 28, 28)
"""One sample; the batch is free."""


def resnet() -> nn.Module:
    """Residual blocks of plain convolutions (He et al. 2015, arXiv:1512.03385): 0.7 M parameters, 22 M MACs."""
    widths, strides = (32, 32, 64, 64, 128, 128), (1, 1, 2, 1, 2, 1)
    blocks = map(ResidualBlock, (32, *widths), widths, strides)
    return nn.Sequential(convolution(1, 32, stride=2), *blocks, head(128))


def mobilenet() -> nn.Module:
    """Inverted residuals with depthwise convolutions (Sandler et al. 2018, arXiv:1801.04381): 0.16 M, 6 M MACs."""
    widths, strides = (24, 24, 40, 40, 40, 64, 64, 64), (1, 1, 2, 1, 1, 2, 1, 1)
    blocks = map(InvertedResidual, (16, *widths), widths, strides)
    return nn.Sequential(convolution(1, 16, stride=2), *blocks, convolution(64, 256, kernel=1), head(256))


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"resnet": resnet, "mobilenet": mobilenet}
"""The networks by name."""


def convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def head(width: int) -> nn.Sequential:
    """The mean over positions, and one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, stride=stride)
        self.second = convolution(outputs, outputs)[:2]
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride)[:2]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features of shape ``(batch, outputs, height / stride, width / stride)``."""
        return torch.relu(self.second(self.first(features)) + self.shortcut(features))


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens four times, a depthwise one, and a 1x1 one that narrows."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.body = nn.Sequential(
            convolution(inputs, wide, kernel=1),
            convolution(wide, wide, stride=stride, groups=wide),
            convolution(wide, outputs, kernel=1)[:2],
        )
        self.is_residual = inputs == outputs and stride == 1

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features of shape ``(batch, outputs, height / stride, width / stride)``."""
        result: torch.Tensor = self.body(features)
        return features + result if self.is_residual else result


def load_narrower(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Load weights that have fewer channels than the module was built with.

    Args:
        module: A network of this file; its layers take the widths of the weights.
        weights: A tensor for each name in the module's state.

    Returns:
        The module, in evaluation mode.
    """
    for name, layer in module.named_modules():
        weight = weights.get(f"{name}.weight")
        if isinstance(layer, nn.Conv2d) and weight is not None:
            layer.groups = 1 if layer.groups == 1 else len(weight)
            layer.out_channels, layer.in_channels = len(weight), weight.shape[1] * layer.groups
        elif isinstance(layer, nn.Linear) and weight is not None:
            layer.out_features, layer.in_features = weight.shape
        elif isinstance(layer, nn.BatchNorm2d) and weight is not None:
            layer.num_features = len(weight)
        for own, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            tensor.data = weights[f"{name}.{own}"].clone()
    return module.eval()
