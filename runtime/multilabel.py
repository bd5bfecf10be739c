"""Answers of models that may give several classes to one sample: a class is answered where its score is high enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..core.tensors import Array

_SQUASHING = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
"""Operators that turn scores into probabilities."""

_PASSING = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that hand on the values of their first input."""


def is_multilabel(scores: tuple[int, ...], labels: Array) -> bool:
    """Whether labels say yes or no to each class: 0 or 1, shape ``(n, classes)`` as the scores have it."""
    same = labels.ndim == 2 and labels.shape == scores and labels.shape[1] > 1
    return same and labels.dtype.kind in "iub" and bool(np.isin(labels, (0, 1)).all())


def probabilities_of(model: ir.Model) -> frozenset[str]:
    """The outputs of a model that are probabilities, because a Sigmoid or Softmax makes them."""
    return frozenset(value.name for value in model.graph.outputs if value.name and _is_probability(value))


def _is_probability(value: ir.Value | None) -> bool:
    while value is not None and (node := value.producer()) is not None:
        if node.op_type not in _PASSING:
            return node.op_type in _SQUASHING
        value = node.inputs[0]
    return False


def threshold_of(output: str, probabilities: frozenset[str]) -> float:
    """Above which score a class is answered: one half of a probability, and 0 of anything else."""
    return 0.5 if output in probabilities else 0.0


def multilabel_columns(scores: Array, labels: Array, threshold: float) -> Any:
    """Count the answers of each class.

    Args:
        scores: Shape ``(n, classes)``; NaN is no answer.
        labels: 0 or 1, of the same shape.
        threshold: A class is answered where its score is above.

    Returns:
        A sparse matrix of shape ``(n, 3 * classes)``, as :func:`~sardonyx.runtime.confusion.class_columns` gives it.
    """
    from scipy.sparse import csr_array

    answered, labelled = scores > threshold, labels.astype(bool)
    return csr_array(np.concatenate([answered & labelled, answered, labelled], axis=1).astype(np.float64))
