"""How close a model's outputs are to another model's: cosine and signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError, ExpectationError, ModelError
from ..core.tensors import Array, Feed
from .intervals import Matrix


def pick_floats(outputs: Feed, named: str | None) -> tuple[str, ...]:
    """Choose the outputs to compare: the named one, or every floating-point output.

    Args:
        outputs: The outputs of one batch.
        named: The output the user named, or None.

    Raises:
        ModelError: There is no such output.
    """
    names = tuple(n for n, a in outputs.items() if (a.dtype.kind == "f" if named is None else n == named))
    if not names:
        wanted = "a floating-point output" if named is None else f"output {named!r}"
        raise ModelError(f"the model has no {wanted}", remedy=f"it has: {', '.join(outputs)}")
    return names


def cosine_columns(value: Matrix, reference: Matrix) -> Matrix:
    """Cosine of each sample with its reference.

    Args:
        value: Flattened outputs, shape ``(n, elements)``.
        reference: The same of the reference.

    Returns:
        Cosine and 1 for each sample, shape ``(n, 2)``; 0 and 0 where a vector is zero and the cosine is
        undefined. Two zero vectors are equal and count as 1.
    """
    norms = np.linalg.norm(value, axis=1) * np.linalg.norm(reference, axis=1)
    defined = norms > 0
    dots = np.einsum("ij,ij->i", value, reference)
    cosine = np.where(defined, dots / np.where(defined, norms, 1.0), 0.0)
    both_zero = ~value.any(1) & ~reference.any(1)
    return np.stack([np.where(both_zero, 1.0, cosine), (defined | both_zero).astype(np.float64)], axis=1)


def sqnr_columns(value: Matrix, reference: Matrix) -> Matrix:
    """Energy of the reference and of the error of each sample, shape ``(n, 2)``."""
    return np.stack([(reference**2).sum(1), ((value - reference) ** 2).sum(1)], axis=1)


def sqnr_db(sums: Matrix) -> Matrix:
    """``10 log10(signal / noise)`` in dB; infinite where nothing differs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(10.0 * np.log10(sums[:, 0] / sums[:, 1]))


def flatten_pair(
    outputs: Feed, reference: Feed, names: tuple[str, ...], samples: int
) -> tuple[Matrix, Matrix]:
    """Put the chosen outputs of two models side by side, one row for each sample.

    Outputs that are not batched on axis 0 make one row of the whole batch.

    Args:
        outputs: Outputs of one batch.
        reference: The same of the reference, whose outputs are matched by name, or by position where the
            names differ.
        names: The outputs chosen, as the model names them.
        samples: Samples in the batch.

    Raises:
        DataError: The shapes differ, or nothing is in the outputs.
        ExpectationError: NaN or infinity stands where the reference has a number, or the other way round.
    """
    positions = list(outputs)
    others = list(reference.values())
    rows = samples if all(outputs[n].shape[:1] == (samples,) for n in names) else 1
    pairs = []
    for name in names:
        other = reference[name] if name in reference else others[positions.index(name)]
        pairs.append(_check_pair(name, outputs[name], other))
    if not any(value.size for value, _ in pairs):
        raise DataError(
            f"output {', '.join(map(repr, names))} is empty: there is nothing to compare",
            remedy="name another output, or give other samples",
        )
    left, right = (np.concatenate([p[i].reshape(rows, -1) for p in pairs], axis=1) for i in (0, 1))
    return left.astype(np.float64), right.astype(np.float64)


def _check_pair(name: str, value: Array, reference: Array) -> tuple[Array, Array]:
    if value.shape != reference.shape:
        raise DataError(
            f"output {name!r} has shape {value.shape}, the reference {reference.shape}",
            remedy="compare models of the same task on the same samples",
        )
    finite = np.isfinite(value)
    if not np.array_equal(finite, np.isfinite(reference)):
        raise ExpectationError(
            f"output {name!r} is NaN or infinite where the reference is not, or the other way round",
            remedy="the model overflows: keep its last layers in float, or calibrate with more samples",
        )
    return np.where(finite, value, 0.0), np.where(finite, reference, 0.0)
