"""The curves of a training as files beside its checkpoint: JSON lines, and TensorBoard's where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError
from ..core.files import write_atomic
from .options import TrainOptions
from .report import EpochRow


def curves_path(checkpoint: Path) -> Path:
    """The file of JSON lines beside a checkpoint, one line for each epoch."""
    return checkpoint.with_name(f"{checkpoint.stem}.metrics.jsonl")


class Curves:
    """Writes what each epoch gave.

    Args:
        checkpoint: Names the files.
        options: How many epochs there will be, and whether TensorBoard is asked for.

    Raises:
        MissingExtraError: TensorBoard is asked for, and is not installed.
    """

    def __init__(self, checkpoint: Path, options: TrainOptions) -> None:
        self.path = curves_path(checkpoint)
        self.epochs = options.epochs
        self._board: Any = None
        if options.tensorboard:
            self._board = _board(checkpoint.with_name(f"{checkpoint.stem}.tensorboard"))

    def write(self, history: Sequence[EpochRow]) -> None:
        """Write all epochs as JSON lines, and add the latest to TensorBoard's file.

        Args:
            history: The epochs done, at least one.

        Raises:
            StorageError: The file cannot be written; the one before it is unchanged.
        """
        mean = sum(row.seconds for row in history) / len(history)
        lines = [json.dumps(_line(row, mean * (self.epochs - row.epoch))) for row in history]
        write_atomic(self.path, ("\n".join(lines) + "\n").encode())
        if self._board is not None:
            for name, value in _scalars(history[-1]).items():
                self._board.add_scalar(name, value, history[-1].epoch)
            self._board.flush()


def _line(row: EpochRow, seconds_left: float) -> dict[str, Any]:
    """An epoch, and how long those after it take at the mean pace."""
    return {"epoch": row.epoch, **_scalars(row), "seconds_left": round(seconds_left, 3)}


def _scalars(row: EpochRow) -> dict[str, float]:
    return {
        **{f"loss/{name}": value for name, value in row.losses.items()},
        "learning_rate": row.learning_rate,
        "validation_score": row.validation_score,
        "seconds": round(row.seconds, 3),
    }


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError("tensorboard", "tensorboard") from error
    return SummaryWriter(str(folder))
