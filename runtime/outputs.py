"""Outputs of models on samples, batch by batch, for whatever compares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError
from ..core.tensors import Feed
from .sessions import Session, open_session


@dataclass(frozen=True)
class Opener:
    """How sessions are opened.

    Attributes:
        provider: The execution provider.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        allow_fallback: Whether the CPU may stand in for the provider.
    """

    provider: str = "cpu"
    threads: int = 0
    allow_fallback: bool = False

    def open(self, model: ModelArtifact) -> Session:
        """Open a session.

        Raises:
            ProviderError: The provider is not there.
        """
        return open_session(model, self.provider, threads=self.threads, allow_fallback=self.allow_fallback)


def outputs_of(session: Session, data: CalibrationData, batch_size: int) -> Iterator[tuple[int, Feed]]:
    """Run a model over samples.

    Args:
        session: The model.
        data: The samples, bound to the model.
        batch_size: Samples in one run, where the model takes any number.

    Yields:
        For each batch, how many samples it holds, and its outputs.
    """
    size = data.batch_size_for(batch_size)
    for index, feed in enumerate(data.batches(size)):
        yield min(size, len(data) - index * size), session.run(feed)


def common_batch(first: CalibrationData, second: CalibrationData, wanted: int) -> int:
    """A batch size that two models both take.

    Args:
        first: Samples bound to one model.
        second: Samples bound to the other.
        wanted: The size where both take any.

    Raises:
        DataError: Each insists on another size.
    """
    fixed = {d.fixed_batch for d in (first, second) if d.fixed_batch is not None}
    if len(fixed) > 1:
        raise DataError(
            f"one model takes batches of {min(fixed)} only, the other of {max(fixed)}",
            remedy="export both with the same batch, or with a free one",
        )
    return fixed.pop() if fixed else wanted
