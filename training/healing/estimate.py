"""What a training will take, measured on one of its own steps."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from ...calib_data.data import CalibrationData
from ..batches import Batch, labels_of, read_samples
from ..losses import Objective
from ..modules import device_of
from ..options import TrainOptions
from .report import Estimate

_TRIALS = 2
_MOMENTS = {"sgd": 1, "adamw": 2}


def estimate(
    module: nn.Module, objective: Objective, data: CalibrationData, options: TrainOptions, *, labelled: bool
) -> Estimate:
    """Run a step's forward and backward pass, without moving a weight, and multiply.

    Args:
        module: What is trained.
        objective: What is minimised.
        data: The training samples.
        options: Batch size, epochs and optimizer.
        labelled: Whether the objective reads labels.
    """
    size = data.batch_size_for(min(options.batch_size, len(data)))
    device = device_of(module)
    inputs = tuple(t.to(device) for t in read_samples(data, range(size)))
    labels = labels_of(data, "training")[:size].to(device) if labelled else None
    kept = _Kept()
    seconds = []
    for _ in range(_TRIALS):
        kept.clear()
        started = time.monotonic()
        with torch.autograd.graph.saved_tensors_hooks(kept.see, lambda tensor: tensor):
            loss = torch.stack(list(objective(module(*inputs), Batch(inputs, labels)).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        seconds.append(time.monotonic() - started)
    module.zero_grad(set_to_none=True)
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    steps = options.epochs * (len(data) // size)
    # Weights, their gradients, the best ones so far, and the moments of the optimizer.
    return Estimate(steps, steps * min(seconds), weights * (3 + _MOMENTS[options.optimizer]) + kept.bytes)


class _Kept:
    """Counts the memory that a step keeps for its gradients, each storage once."""

    def __init__(self) -> None:
        self._storages: dict[int, int] = {}

    def clear(self) -> None:
        """Start again."""
        self._storages = {}

    def see(self, tensor: torch.Tensor) -> Any:
        """Count a tensor that is kept."""
        storage = tensor.untyped_storage()
        self._storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        """Bytes of all storages."""
        return sum(self._storages.values())
