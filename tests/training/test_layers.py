"""Layers by name: what they give, and which of two networks belong together."""

from __future__ import annotations

import pytest
import torch
from sardonyx.core.errors import UsageError
from sardonyx.training import LayerPair, propose_pairs
from sardonyx.training.layers import layer_shapes, parse_pairs, recording, with_layers
from torch import nn

IMAGES = (torch.rand(1, 1, 8, 8),)


class Staged(nn.Module):
    """Three stages of halved images, and a head."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        for inputs, outputs in zip((1, *widths), widths, strict=False):
            self.stages.append(
                nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())
            )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.stages(image)).flatten(1))


def test_pairs_are_read() -> None:
    assert parse_pairs(" a.0:b.1\n c:d ") == (LayerPair("a.0", "b.1"), LayerPair("c", "d"))


@pytest.mark.parametrize("text", ["a", "a:", ":b", "a:b c"])
def test_what_is_no_pair_is_refused(text) -> None:
    with pytest.raises(UsageError, match="is no pair of layers"):
        parse_pairs(text)


def test_shapes_of_all_layers_in_order() -> None:
    shapes = layer_shapes(Staged(4, 6), IMAGES)
    assert list(shapes)[:2] == ["stages.0.0", "stages.0.1"]
    assert (shapes["stages.0"], shapes["stages"], shapes["head"]) == ((1, 4, 4, 4), (1, 6, 2, 2), (1, 3))


def test_the_last_layers_of_each_size_are_paired() -> None:
    pairs = propose_pairs(Staged(4, 6), Staged(8, 8, 8), IMAGES)
    assert [str(pair) for pair in pairs] == ["stages.0:stages.0", "stages:stages.1"]


def test_tokens_are_paired_by_number_and_width() -> None:
    def layer(width):
        return nn.TransformerEncoderLayer(8, 2, width, batch_first=True)

    student, teacher = nn.Sequential(layer(8)), nn.Sequential(layer(16), layer(16))
    assert propose_pairs(student, teacher, (torch.rand(2, 5, 8),)) == (LayerPair("0", "1"),)


def test_networks_without_a_common_size_are_refused() -> None:
    with pytest.raises(UsageError, match="no layers of student and teacher"):
        propose_pairs(nn.Sequential(nn.Conv2d(1, 2, 3)), nn.Sequential(nn.Conv2d(1, 2, 5)), IMAGES)


def test_layers_are_looked_at_and_left_alone() -> None:
    module = Staged(4, 6).train()
    outputs, values = with_layers(module, IMAGES, ["pool", "head"])
    assert torch.equal(values["head"], outputs)
    assert values["pool"].requires_grad
    assert not any(part._forward_hooks for part in module.modules())
    assert with_layers(module, IMAGES, ())[1] == {}


def test_the_latest_pass_is_recorded() -> None:
    module = nn.Sequential(nn.Flatten(), nn.ReLU())
    with recording(module, ["1"]) as values:
        for factor in (1, 2):
            module(factor * IMAGES[0])
        assert torch.equal(values["1"], 2 * IMAGES[0].flatten(1))
    module(3 * IMAGES[0])
    assert torch.equal(values["1"], 2 * IMAGES[0].flatten(1))


def test_an_unknown_layer_is_refused_with_its_neighbours() -> None:
    with (
        pytest.raises(UsageError, match=r"no layer 'stage.0' \(name one such as stages.0"),
        recording(Staged(4, 6), ["stage.0"]),
    ):
        pass


def test_a_layer_with_several_tensors_is_refused() -> None:
    module = nn.Sequential(nn.LSTM(8, 4))
    with pytest.raises(UsageError, match="layer '0' gives a tuple"):
        with_layers(module, (torch.rand(2, 5, 8),), ["0"])
