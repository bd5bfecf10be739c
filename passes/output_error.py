"""How far the outputs of a changed model are from those of the model it was made from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..calib_data.data import CalibrationData
from ..calib_data.runner import Runner
from ..core.tensors import Array, Feed, output_specs


class OutputError:
    """Measures models against a reference that has run once.

    Args:
        reference: The model that is right.
        data: The samples; they and the outputs are held in memory.
        runner: Executes graphs.
        samples: Most samples that are used, a seeded choice.
        batch_size: Most samples in one run.

    Raises:
        ModelError: The runtime refuses the model.
    """

    def __init__(
        self,
        reference: ir.Model,
        data: CalibrationData,
        runner: Runner,
        *,
        samples: int = 16,
        batch_size: int = 8,
    ) -> None:
        few = data.subset(min(samples, len(data)))
        self.runner = runner
        self.names = [spec.name for spec in output_specs(reference)]
        self.feeds: list[Feed] = list(few.batches(few.batch_size_for(batch_size)))
        self.expected = list(runner.run(reference, self.feeds, self.names))

    def of(self, model: ir.Model) -> dict[str, float]:
        """The error of each output.

        Args:
            model: A model with the same inputs and outputs.

        Returns:
            For each float output, the length of the difference over the length of the right one; for each other
            output, the share of elements that differ. Infinite where an output is not finite and should be.
        """
        found = list(self.runner.run(model, self.feeds, self.names))
        return {
            name: relative_error(
                np.concatenate([batch[name].reshape(-1) for batch in self.expected]),
                np.concatenate([batch[name].reshape(-1) for batch in found]),
            )
            for name in self.names
        }

    def worst(self, model: ir.Model) -> float:
        """The largest error of any output."""
        return max(self.of(model).values(), default=0.0)


def relative_error(exact: Array, other: Array) -> float:
    """The length of the difference over the length of the exact array, or the share of unequal integers.

    Args:
        exact: What is right, shape ``(elements,)``.
        other: What came out, of the same shape; infinite errors are reported where shapes differ.
    """
    if exact.shape != other.shape:
        return float("inf")
    if exact.dtype.kind not in "fV":
        return float(np.mean(exact != other)) if exact.size else 0.0
    left, right = exact.astype(np.float64), other.astype(np.float64)
    usable = np.isfinite(left)
    if (
        not np.array_equal(left[~usable], right[~usable], equal_nan=True)
        or not np.isfinite(right[usable]).all()
    ):
        return float("inf")
    difference = float(np.linalg.norm(left[usable] - right[usable]))
    size = float(np.linalg.norm(left[usable]))
    return difference / size if size else (0.0 if not difference else float("inf"))
