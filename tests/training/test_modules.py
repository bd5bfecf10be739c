"""Modules from seeds, and their modes."""

from __future__ import annotations

import pytest
import torch
from sardonyx.training import make_module
from sardonyx.training.modules import evaluating
from torch import nn


def test_the_seed_decides_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (make_module(lambda: nn.Linear(2, 2), seed).weight for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), wanted)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_modes_come_back_after_an_error() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout().eval())

    def fail() -> None:
        with evaluating(module):
            assert not module[0].training
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (module.training, module[0].training, module[1].training) == (True, True, False)
