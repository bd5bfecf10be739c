"""Small networks of every well-known shape, with random weights: what coupling has to see through.

Widths are those of the originals divided by eight or so; what matters is how layers are joined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx.exporter import ExportOptions, InputShape, export_model
from torch import nn
from torch.nn import functional

SHAPE = (3, 32, 32)
TOKENS, VOCABULARY = 12, 50


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def head(width: int) -> nn.Sequential:
    """Mean over positions, one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(inputs, outputs, stride=stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    widths = (16, 16, 32, 32, 64, 64)
    pairs = zip((16, *widths), widths, (1, 1, 2, 1, 2, 1), strict=False)
    return nn.Sequential(conv(3, 16), *(Residual(*pair) for pair in pairs), head(64))


def vgg() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, 10))


class Branches(nn.Module):
    """Four branches, concatenated (Szegedy et al. 2014)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(inputs, 8, 1))
        wide = nn.Sequential(conv(inputs, 8, 1), conv(8, 16), conv(16, 16))
        self.branches = nn.ModuleList(
            [conv(inputs, 16, 1), nn.Sequential(conv(inputs, 8, 1), conv(8, 24)), wide, pooled]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception() -> nn.Module:
    return nn.Sequential(
        conv(3, 16, stride=2), Branches(16), Branches(64), nn.MaxPool2d(2), Branches(64), head(64)
    )


class UNet(nn.Module):
    """Down, up, and joined across (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 16), conv(16, 32), conv(32, 64)
        self.up_two, self.up_one = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.back_two, self.back_one = conv(64, 32), conv(32, 16)
        self.last = nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.one(x)
        two = self.two(functional.max_pool2d(one, 2))
        three = self.three(functional.max_pool2d(two, 2))
        back = self.back_two(torch.cat([self.up_two(three), two], 1))
        return self.last(self.back_one(torch.cat([self.up_one(back), one], 1)))


class Inverted(nn.Module):
    """Widen, depthwise, narrow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int = 4) -> None:
        super().__init__()
        wide = inputs * factor
        narrow = [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(
            conv(inputs, wide, 1), conv(wide, wide, stride=stride, groups=wide), *narrow
        )
        self.is_residual = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


def mobilenet() -> nn.Module:
    pairs = ((32, 32, 1), (32, 48, 2), (48, 48, 1), (48, 64, 2), (64, 64, 1))
    return nn.Sequential(conv(3, 32), *(Inverted(*pair) for pair in pairs), conv(64, 128, 1), head(128))


class Dense(nn.Module):
    """Every layer reads all before it (Huang et al. 2016)."""

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * growth),
                nn.ReLU(),
                conv(inputs + i * growth, 4 * growth, 1),
                nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet() -> nn.Module:
    transition = [nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 24, 1), nn.AvgPool2d(2)]
    return nn.Sequential(
        conv(3, 16), Dense(16, 8, 3), *transition, Dense(24, 8, 3), nn.BatchNorm2d(48), nn.ReLU(), head(48)
    )


class Shuffle(nn.Module):
    """Half passes by, half is worked on, then both are shuffled (Ma et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        depthwise = [nn.Conv2d(half, half, 3, padding=1, groups=half), nn.BatchNorm2d(half)]
        self.body = nn.Sequential(conv(half, half, 1), *depthwise, conv(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, worked = x.chunk(2, 1)
        joined = torch.cat([kept, self.body(worked)], 1)
        _, channels, height, width = joined.shape
        return (
            joined.view(-1, 2, channels // 2, height, width)
            .transpose(1, 2)
            .reshape(-1, channels, height, width)
        )


def shufflenet() -> nn.Module:
    return nn.Sequential(
        conv(3, 32, stride=2), Shuffle(32), Shuffle(32), conv(32, 64, stride=2), Shuffle(64), head(64)
    )


class Attention(nn.Module):
    """Scaled dot products, written out; queries, keys and values packed in one layer or in three."""

    def __init__(self, width: int, heads: int, *, is_packed: bool) -> None:
        super().__init__()
        self.heads, self.is_packed = heads, is_packed
        self.layers = nn.ModuleList(
            [nn.Linear(width, 3 * width)] if is_packed else [nn.Linear(width, width) for _ in range(3)]
        )
        self.last = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens, width = x.shape[1], x.shape[2]
        parts = self.layers[0](x).chunk(3, -1) if self.is_packed else [layer(x) for layer in self.layers]
        q, k, v = (p.reshape(-1, tokens, self.heads, width // self.heads).transpose(1, 2) for p in parts)
        weights = torch.softmax(q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5, -1)
        return self.last((weights @ v).transpose(1, 2).reshape(-1, tokens, width))


class Block(nn.Module):
    """Attention and a perceptron; normalised before (ViT) or after (BERT)."""

    def __init__(self, width: int, *, is_packed: bool, is_first: bool) -> None:
        super().__init__()
        self.attention = Attention(width, 4, is_packed=is_packed)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.is_first = is_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.is_first:
            x = x + self.attention(self.norms[0](x))
            return x + self.mlp(self.norms[1](x))
        x = self.norms[0](x + self.attention(x))
        return self.norms[1](x + self.mlp(x))


class ViT(nn.Module):
    """Patches, a class token, positions (Dosovitskiy et al. 2020)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.Sequential(*(Block(width, is_packed=True, is_first=True) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Bert(nn.Module):
    """Embeddings of tokens and positions, blocks, a classifier (Devlin et al. 2018)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.tokens, self.positions = (
            nn.Embedding(VOCABULARY, width),
            nn.Parameter(torch.randn(1, TOKENS, width)),
        )
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, is_packed=False, is_first=False) for _ in range(4)))
        self.pool, self.head = nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(self.tokens(tokens) + self.positions))
        return self.head(torch.tanh(self.pool(x[:, 0])))


class Tagger(nn.Module):
    """Embedding, a bidirectional LSTM, a layer for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 24)
        self.lstm = nn.LSTM(24, 32, batch_first=True, bidirectional=True)
        self.first, self.last = nn.Linear(64, 48), nn.Linear(48, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.last(functional.relu(self.first(self.lstm(self.tokens(tokens))[0])))


ZOO: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "resnet": (resnet, 0.30),
    "vgg": (vgg, 0.30),
    "inception": (inception, 0.30),
    "unet": (UNet, 0.30),
    "mobilenet": (mobilenet, 0.30),
    "densenet": (densenet, 0.30),
    "shufflenet": (shufflenet, 0.30),
    "vit": (ViT, 0.55),
    "bert": (Bert, 0.55),
    "lstm": (Tagger, 0.40),
}
"""Each network, and the most parameters that half of every group may leave."""

TEXT = frozenset({"bert", "lstm"})
"""Networks that read tokens."""

_QUICK = {("resnet", "dynamo"), ("vit", "dynamo")}
CASES = [
    pytest.param(
        name,
        exporter,
        marks=[] if exporter == "torchscript" or (name, exporter) in _QUICK else pytest.mark.slow,
    )
    for exporter in ("torchscript", "dynamo")
    for name in ZOO
]
"""Every network by both exporters. The exporter of dynamo takes seconds: two networks stand for all, and
`make test-slow` does the rest."""


def exported(
    name: str, exporter: Literal["torchscript", "dynamo"] = "torchscript", samples: int = 3
) -> tuple[ir.Model, np.ndarray]:
    """A network of the zoo as a graph, the same every time, and so many samples for it."""
    torch.manual_seed(0)
    module = ZOO[name][0]().eval()
    random = np.random.default_rng(0)
    if name in TEXT:
        shape, drawn = (
            InputShape((2, TOKENS), "int64", VOCABULARY),
            random.integers(0, VOCABULARY, (samples, TOKENS)),
        )
    else:
        shape = InputShape((2, *SHAPE))
        drawn = random.standard_normal((samples, *SHAPE)).astype(np.float32)
    result = export_model(module, ExportOptions({"x": shape}, exporters=(exporter,)))
    return result.artifact.load(), drawn
