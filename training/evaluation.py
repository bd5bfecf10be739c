"""How often a module is right."""

from __future__ import annotations

import torch
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.errors import DataError
from .batches import batches_in_order, labels_of
from .modules import device_of, evaluating


def predict(module: nn.Module, data: CalibrationData, *, batch_size: int = 256) -> torch.Tensor:
    """The class with the largest logit for every sample, in order.

    Args:
        module: From the data's inputs to logits of shape ``(batch, classes)``.
        data: The samples.
        batch_size: Samples at once.

    Returns:
        Class numbers, shape ``(samples,)``.

    Raises:
        DataError: A sample's logits are not finite, or are not of that shape.
    """
    device, found = device_of(module), []
    with evaluating(module), torch.no_grad():
        for batch, inputs in enumerate(batches_in_order(data, batch_size)):
            logits = module(*(t.to(device) for t in inputs)).float()
            if logits.ndim != 2 or not torch.isfinite(logits).all():
                raise DataError(
                    f"batch {batch}: the module's outputs are not finite logits of shape (batch, classes)",
                    remedy="check the samples, and the module's weights",
                )
            found.append(logits.argmax(1).cpu())
    return torch.cat(found)


def evaluate_top1(module: nn.Module, data: CalibrationData, *, batch_size: int = 256) -> float:
    """Share of samples whose largest logit is at the label.

    Args:
        module: From the data's inputs to logits of shape ``(batch, classes)``.
        data: Samples with labels.
        batch_size: Samples at once.

    Returns:
        The share, in 0..1.

    Raises:
        DataError: There are no labels, or the outputs are not finite logits.
    """
    labels = labels_of(data, "evaluation")
    return float((predict(module, data, batch_size=batch_size) == labels).double().mean())
