"""Patterns of zeros: which weights of a matrix stay, given what each is worth."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pattern:
    """Where zeros may stand in a matrix of shape ``(outputs, inputs)``.

    Attributes:
        keep: Of every ``group`` inputs in a row so many stay (n:m); 0 where a share decides.
        group: The m of n:m; 1 otherwise.
        rows: Outputs that a tile spans; zeros come in whole tiles.
        columns: Inputs that a tile spans.
    """

    keep: int = 0
    group: int = 1
    rows: int = 1
    columns: int = 1

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """``unstructured``, ``2:4`` or ``block:4x1`` (outputs x inputs); None for any other text."""
        if text == "unstructured":
            return cls()
        if match := re.fullmatch(r"(\d{1,4}):(\d{1,4})", text):
            n, m = int(match[1]), int(match[2])
            return cls(keep=n, group=m) if 0 < n < m else None
        if match := re.fullmatch(r"block:(\d{1,4})x(\d{1,4})", text):
            rows, columns = int(match[1]), int(match[2])
            return cls(rows=rows, columns=columns) if rows and columns else None
        return None

    @property
    def span(self) -> int:
        """Inputs that are decided on together."""
        return max(self.group, self.columns)

    def misfit(self, outputs: int, inputs: int) -> str | None:
        """Why a matrix of this shape cannot have the pattern; None where it can."""
        if inputs % self.span:
            return f"its {inputs} inputs do not divide by {self.span}"
        if outputs % self.rows:
            return f"its {outputs} outputs do not divide by {self.rows}"
        return None

    def choose(self, worth: Matrix, ratio: float) -> Mask:
        """Which weights stay: those worth most, in the pattern; ties fall to the first.

        Args:
            worth: What each weight is worth, shape ``(outputs, inputs)``.
            ratio: Share of the weights that go; n:m has its own.
        """
        if self.keep:
            parts = worth.reshape(len(worth), -1, self.group)
            rank = np.argsort(np.argsort(-parts, axis=-1, kind="stable"), axis=-1, kind="stable")
            return np.asarray((rank < self.keep).reshape(worth.shape))
        tiles = self.tiles(worth)
        return self.spread(smallest_out(tiles, ratio), worth.shape)

    def tiles(self, worth: Matrix) -> Matrix:
        """What each tile is worth, shape ``(outputs / rows, inputs / columns)``."""
        shape = (len(worth) // self.rows, self.rows, worth.shape[1] // self.columns, self.columns)
        total: Matrix = worth.reshape(shape).sum((1, 3))
        return total

    def spread(self, keep: Mask, shape: tuple[int, ...]) -> Mask:
        """From tiles back to weights."""
        return np.repeat(np.repeat(keep, self.rows, 0), self.columns, 1).reshape(shape)


def smallest_out(worth: Matrix, ratio: float) -> Mask:
    """True for all but the smallest share; ties are broken by position, so that the count is exact."""
    keep = np.ones(worth.size, dtype=bool)
    keep[np.argsort(worth, axis=None, kind="stable")[: round(ratio * worth.size)]] = False
    return keep.reshape(worth.shape)
