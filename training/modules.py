"""Modules as such: made from a seed, where they are, and in which mode."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn


def make_module(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a module whose first weights depend on the seed alone; torch's own generator is left as it was.

    Args:
        factory: Makes the module.
        seed: The seed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return factory()


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; each part's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
