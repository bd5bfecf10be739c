"""How good a module is: against labels, or against a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ..calib_data.data import CalibrationData
from ..core.errors import DataError
from .batches import batches_in_order, labels_of
from .losses import only
from .modules import device_of, evaluating


def outputs_of(module: nn.Module, data: CalibrationData, *, batch_size: int = 256) -> torch.Tensor:
    """The output for every sample, in order.

    Args:
        module: From the data's inputs to one output of shape ``(batch, ...)``.
        data: The samples.
        batch_size: Samples at once.

    Returns:
        float32 of shape ``(samples, ...)``, in the CPU's memory.

    Raises:
        DataError: A sample's output is not finite, or there are several outputs.
    """
    device, found = device_of(module), []
    with evaluating(module), torch.no_grad():
        for batch, inputs in enumerate(batches_in_order(data, batch_size)):
            outputs = only(module(*(t.to(device) for t in inputs))).float()
            if not torch.isfinite(outputs).all():
                raise DataError(
                    f"batch {batch}: the module's outputs are not finite {_LOGITS}", remedy=_REMEDY
                )
            found.append(outputs.cpu())
    return torch.cat(found)


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
    return classes_of(outputs_of(module, data, batch_size=batch_size))


def classes_of(logits: torch.Tensor) -> torch.Tensor:
    """The class with the largest logit.

    Args:
        logits: Shape ``(samples, classes)``.

    Raises:
        DataError: They are of another shape.
    """
    if logits.ndim != 2:
        raise DataError(f"the module's outputs are not finite {_LOGITS}", remedy=_REMEDY)
    return logits.argmax(1)


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
    return right(outputs_of(module, data, batch_size=batch_size), labels)


def right(found: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of samples, in 0..1, whose largest logit is at the label.

    Args:
        found: Logits of shape ``(samples, classes)``.
        labels: Class numbers, shape ``(samples,)``.

    Raises:
        DataError: The logits are of another shape.
    """
    return float((classes_of(found) == labels).double().mean())


def agreement(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Share of samples, in 0..1, for which both name the same class.

    Args:
        found: Logits of shape ``(samples, classes)``.
        wanted: Logits of the same shape.

    Raises:
        DataError: They are of another shape.
    """
    return float((classes_of(found) == classes_of(wanted)).double().mean())


def explained(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """``R²``: one minus the squared error in units of the variance; 1 at best, 0 for the mean, below for worse.

    Args:
        found: Shape ``(samples, ...)``.
        wanted: The same shape; ``(samples,)`` stands for ``(samples, 1)``.

    Raises:
        DataError: The shapes differ.
    """
    found, wanted = found.double().flatten(1), wanted.double().reshape(len(wanted), -1)
    if found.shape != wanted.shape:
        raise DataError(
            f"outputs of shape {tuple(found.shape)} are compared with {tuple(wanted.shape)}",
            remedy="give one number for each output",
        )
    spread = (wanted - wanted.mean(0)).square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    return float(1 - (found - wanted).square().sum() / spread)


def alike(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Mean cosine between the two outputs of a sample, in -1..1.

    Args:
        found: Shape ``(samples, ...)``.
        wanted: The same shape.
    """
    return float(functional.cosine_similarity(found.double().flatten(1), wanted.double().flatten(1)).mean())


@dataclass(frozen=True)
class Likeness:
    """A judge that compares a module's outputs with wanted ones: labels, or a teacher's outputs.

    Attributes:
        metric: What is measured.
        measure: From outputs and wanted ones to a figure; higher is better.
        wanted: From samples to what is wanted for each.
    """

    metric: str
    measure: Callable[[torch.Tensor, torch.Tensor], float]
    wanted: Callable[[CalibrationData], torch.Tensor]

    def __call__(self, module: nn.Module, data: CalibrationData) -> float:
        """The figure of a module on samples."""
        return self.of(outputs_of(module, data), data)

    def of(self, outputs: torch.Tensor, data: CalibrationData) -> float:
        """The figure of outputs for samples, in order."""
        return self.measure(outputs, self.wanted(data))


_LOGITS = "logits of shape (batch, classes)"
_REMEDY = "check the samples, and the module's weights"
