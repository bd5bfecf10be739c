"""The self-test of a bundle: samples and what the model makes of them, as raw arrays that any language reads.

The model is run batch by batch. Each array is divided along axis 0 into as many equal pieces as there are runs: of an
array with one row for each sample a piece is one batch. A floating-point value passes within the tolerance of the
manifest, an integer where it is equal, and a sample where all of its values pass. A classifier, with one floating-point
output of scores, may differ more on the integer kernels of another processor: a sample beyond the tolerance passes too
where its largest score is in the same place, as long as no more samples than ``1 - labels_agree`` need that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, ExpectationError, LimitError
from ..core.files import write_atomic
from ..core.limits import current_limits
from ..core.tensors import Array, Feed
from .cpu_runs import Run
from .manifest_parts import (
    ITEM_BYTES,
    ElementType,
    SelfTest,
    StoredTensor,
    Tolerance,
    element_type,
)

FOLDER = "self_test"
"""Where the arrays lie inside a bundle."""


@dataclass(frozen=True)
class SelfTestResult:
    """What came of a self-test.

    Attributes:
        samples: How many there are.
        passed: How many passed.
        largest_difference: Between a value and what was expected, over all floating-point outputs.
        complaints: What was wrong, in sentences.
    """

    samples: int
    passed: int
    largest_difference: float
    complaints: tuple[str, ...] = ()

    @property
    def is_passed(self) -> bool:
        """Whether every sample passed."""
        return self.passed == self.samples

    def __str__(self) -> str:
        told = f"{self.passed} of {self.samples} samples, largest difference {self.largest_difference:.2g}"
        return f"self-test: {'; '.join((told, *self.complaints))}"


def write_self_test(
    folder: Path,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    *,
    batch: int,
    tolerance: Tolerance,
    labels_agree: float = 1.0,
    samples: int | None = None,
) -> SelfTest:
    """Write samples and expected outputs into a bundle.

    Args:
        folder: The bundle.
        inputs: An array for each input, all runs one after the other on axis 0.
        outputs: The same for each output.
        batch: Samples in one run.
        tolerance: How far a floating-point output may be off.
        labels_agree: Share of samples that must hold it where the others of a classifier have the same answer.
        samples: How many samples there are; the length of the first input where None.

    Raises:
        ExpectationError: An array has no axis, or is of a type that clients do not read.
        LimitError: The arrays are too large for a device.
    """
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for name, array in arrays.items():
            check_storable(kind, name, array)
    size = sum(array.nbytes for array in (*inputs.values(), *outputs.values()))
    most = current_limits().self_test_bytes
    if size > most:
        raise LimitError(
            f"samples and expected outputs take {size:,} bytes, the limit is {most:,}",
            remedy="take fewer, as with --samples 1",
        )
    (folder / FOLDER).mkdir(exist_ok=True)
    return SelfTest(
        samples=len(next(iter(inputs.values()))) if samples is None else samples,
        batch=batch,
        inputs=tuple(_write(folder, "inputs", i, *item) for i, item in enumerate(inputs.items())),
        outputs=tuple(_write(folder, "outputs", i, *item) for i, item in enumerate(outputs.items())),
        tolerance=tolerance,
        labels_agree=labels_agree,
    )


def _write(folder: Path, kind: str, index: int, name: str, array: Array) -> StoredTensor:
    path = f"{FOLDER}/{kind}.{index}.bin"
    found = check_storable(kind.removesuffix("s"), name, array)
    write_atomic(folder / path, _little(array).tobytes())
    return StoredTensor(name=name, type=found, shape=array.shape, file=path)


def check_storable(kind: str, name: str, array: Array) -> ElementType:
    """Refuse an array that no client could read or divide into runs.

    Args:
        kind: ``input`` or ``output``, for the message.
        name: Its name.
        array: The array.

    Returns:
        Its element type.

    Raises:
        ExpectationError: It is a single number, or of a type that is no plain number.
    """
    stated = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
    found = element_type(stated)
    if found is None:
        raise ExpectationError(
            f"{kind} {name!r} is of type {stated}, which a self-test cannot hold",
            remedy=f"a bundle takes {', '.join(ITEM_BYTES)}",
        )
    if not array.ndim:
        raise ExpectationError(
            f"{kind} {name!r} is a single number without an axis, which a self-test cannot hold",
            remedy="give it an axis of length 1 in the model",
        )
    return found


def read_tensor(folder: Path, tensor: StoredTensor) -> Array:
    """Read an array of a bundle.

    Raises:
        DataError: The file is missing, or has another size.
    """
    dtype = np.dtype(tensor.type).newbyteorder("<")
    try:
        array = np.fromfile(folder / tensor.file, dtype)
    except OSError as error:
        raise DataError(f"cannot read {tensor.file}: {error.strerror or error}", remedy=_REMEDY) from error
    if array.nbytes != tensor.size_bytes or (folder / tensor.file).stat().st_size != array.nbytes:
        raise DataError(f"{tensor.file} does not hold {tensor.shape} of {tensor.type}", remedy=_REMEDY)
    return array.astype(np.dtype(tensor.type), copy=False).reshape(tensor.shape)


def run_self_test(folder: Path, self_test: SelfTest, run: Run) -> SelfTestResult:
    """Run a model over the samples of a bundle and compare.

    Args:
        folder: The bundle.
        self_test: The part of its manifest.
        run: Runs one batch: from an array for each input to an array for each output.

    Raises:
        DataError: An array cannot be read, or the model fails on a batch.
    """
    inputs = {tensor.name: read_tensor(folder, tensor) for tensor in self_test.inputs}
    expected = {tensor.name: read_tensor(folder, tensor) for tensor in self_test.outputs}
    found = [run(feed) for feed in pieces(inputs, self_test.runs)]
    return compare(self_test, expected, {name: [outputs.get(name) for outputs in found] for name in expected})


def pieces(arrays: Mapping[str, Array], runs: int) -> list[Feed]:
    """Divide arrays along axis 0 into one feed for each run."""
    split = {name: np.split(array, runs) for name, array in arrays.items()}
    return [{name: parts[i] for name, parts in split.items()} for i in range(runs)]


def compare(
    self_test: SelfTest, expected: Mapping[str, Array], found: Mapping[str, Sequence[Array | None]]
) -> SelfTestResult:
    """Hold outputs to what was expected of them.

    Args:
        self_test: Samples, batch and tolerance.
        expected: The expected outputs, all runs one after the other.
        found: For each of them what each run gave, or None.
    """
    complaints = [
        text
        for name, wanted in expected.items()
        if (text := _mismatch(name, wanted, found[name], self_test.runs))
    ]
    if complaints:
        return SelfTestResult(self_test.samples, 0, 0.0, tuple(complaints))
    joined = {name: np.concatenate([p for p in parts if p is not None]) for name, parts in found.items()}
    within = np.ones(self_test.samples, bool)
    for name, wanted in expected.items():
        holds = _within(self_test, wanted, joined[name])
        within &= _by_sample(holds, self_test)
    passes = within | _rescued(self_test, within, expected, joined)
    worst = max((_difference(w, joined[n]) for n, w in expected.items() if w.dtype.kind == "f"), default=0.0)
    return SelfTestResult(self_test.samples, int(passes.sum()), worst)


def _mismatch(name: str, wanted: Array, parts: Sequence[Array | None], runs: int) -> str | None:
    """Why what a model gave cannot be compared at all."""
    shape = (len(wanted) // runs, *wanted.shape[1:])
    for part in parts:
        if part is None:
            return f"the model has no output {name!r}"
        if part.dtype != wanted.dtype or part.shape != shape:
            return f"output {name!r} is {part.dtype} {part.shape}, not {wanted.dtype} {shape}"
    return None


def _within(self_test: SelfTest, wanted: Array, got: Array) -> npt.NDArray[np.bool_]:
    """Which elements pass; NaN never does, and where infinity is expected only the same."""
    if wanted.dtype.kind != "f":
        return np.asarray(wanted == got)
    limit = self_test.tolerance
    with np.errstate(invalid="ignore"):
        off = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
        near = off <= limit.absolute + limit.relative * np.abs(wanted.astype(np.float64))
    return np.where(np.isinf(wanted), got == wanted, near)


def _by_sample(holds: npt.NDArray[np.bool_], self_test: SelfTest) -> npt.NDArray[np.bool_]:
    """Which samples pass: each by its row, or all of a run together where rows are not samples."""
    groups = self_test.runs if len(holds) % self_test.samples else self_test.samples
    return np.repeat(holds.reshape(groups, -1).all(axis=1), self_test.samples // groups)


def _rescued(
    self_test: SelfTest,
    within: npt.NDArray[np.bool_],
    expected: Mapping[str, Array],
    found: Mapping[str, Array],
) -> npt.NDArray[np.bool_]:
    """The samples of a classifier that answer as expected, as long as not too many need that."""
    (name, wanted), *more = expected.items()
    is_classifier = not more and wanted.dtype.kind == "f" and wanted.ndim == 2
    beyond = self_test.samples - int(within.sum())
    allowed = (1.0 - self_test.labels_agree) * self_test.samples + 1e-9
    if not is_classifier or len(wanted) != self_test.samples or not wanted.shape[1] or beyond > allowed:
        return np.zeros_like(within)
    got = found[name]
    return np.asarray((got.argmax(1) == wanted.argmax(1)) & np.isfinite(got).all(axis=1))


def _difference(wanted: Array, got: Array) -> float:
    with np.errstate(invalid="ignore"):
        off = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


def _little(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


_REMEDY = "package the model again"
