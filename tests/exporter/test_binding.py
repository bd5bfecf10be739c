"""Inputs by name become a call, outputs get names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sardonyx.core.errors import ModelError, UsageError
from sardonyx.exporter.binding import bind, flatten
from torch import nn


class Two(nn.Module):
    def forward(self, left, middle=None, *, right=None):
        return left


class Many(nn.Module):
    def forward(self, first, *others):
        return first


@pytest.mark.parametrize(
    ("names", "positional", "keyword"),
    [
        (["left", "middle"], ("left", "middle"), ()),
        (["middle", "left"], ("left", "middle"), ()),
        (["right", "left"], ("left",), ("right",)),
        (["middle"], (), ("middle",)),
        (["x", "y"], ("x", "y"), ()),
    ],
)
def test_names_meet_parameters(names, positional, keyword) -> None:
    binding = bind(Two(), names)
    assert (binding.positional, binding.keyword) == (positional, keyword)


def test_values_are_arranged_like_parameters() -> None:
    assert bind(Many(), ["a", "b", "c"]).by_parameter({"a": 1, "b": 2, "c": 3}) == {
        "first": 1,
        "others": (2, 3),
    }
    assert bind(Two(), ["right", "left"]).by_parameter({"left": 1, "right": 2}) == {"left": 1, "right": 2}


@pytest.mark.parametrize("names", [["left", "wrong"], ["a", "b", "c"]])
def test_a_name_too_many_is_refused(names) -> None:
    with pytest.raises(UsageError, match="forward takes no"):
        bind(Two(), names)


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (torch.ones(1), ["output"]),
        ((torch.ones(1), torch.ones(1)), ["output_0", "output_1"]),
        (
            {"boxes": torch.ones(1), "scores": [torch.ones(1), torch.ones(1)]},
            ["boxes", "scores_0", "scores_1"],
        ),
    ],
)
def test_outputs_are_named(outputs, names) -> None:
    named = flatten(outputs)
    assert list(named) == names
    assert all(isinstance(a, np.ndarray) for a in named.values())


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ModelError, match="NoneType"):
        flatten((torch.ones(1), None))
