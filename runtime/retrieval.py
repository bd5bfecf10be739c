"""Retrieval among embeddings: whether the nearest other sample has the same label."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError
from ..core.tensors import Array
from .classification import class_scores
from .intervals import Matrix

_CHUNK = 512
"""Samples that are compared with all others at once."""


def nearest_columns(embeddings: Array, labels: Array) -> Matrix:
    """Recall at 1: which samples find one of their own label first, by cosine, among all other samples.

    Args:
        embeddings: Shape ``(n, width)``.
        labels: Whole numbers, shape ``(n,)``.

    Returns:
        1 or 0 for each sample whose label another sample has too, shape ``(kept, 1)``. Of several that are equally
        near, the first counts; an embedding that is zero or holds NaN finds nothing.

    Raises:
        DataError: The labels do not fit, or no label occurs twice.
    """
    vectors = class_scores(embeddings).astype(np.float64)
    if labels.shape != (len(vectors),) or labels.dtype.kind not in "iu" or vectors.ndim != 2:
        raise DataError(
            f"labels of shape {labels.shape} and type {labels.dtype} for embeddings of shape {embeddings.shape}",
            remedy="give one whole number and one vector for each sample",
        )
    kept = np.flatnonzero(shared_labels(labels))
    if not kept.size:
        raise DataError("no label occurs twice", remedy="give several samples of each label")
    norms = np.linalg.norm(vectors, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    units = np.where(usable[:, None], vectors / np.where(usable, norms, 1.0)[:, None], 0.0)
    right = np.zeros(len(kept))
    for start in range(0, len(kept), _CHUNK):
        rows = kept[start : start + _CHUNK]
        near = units[rows] @ units.T
        near[:, ~usable] = -np.inf
        near[np.arange(len(rows)), rows] = -np.inf
        found = np.isfinite(near.max(1)) & usable[rows]
        right[start : start + len(rows)] = found & (labels[near.argmax(1)] == labels[rows])
    return right[:, None]


def shared_labels(labels: Array) -> Array:
    """Which samples have a label that another sample has too, shape ``(n,)``."""
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(counts[which] > 1)
