"""The samples of a recipe, opened when a step first needs them and kept for the others."""

from __future__ import annotations

import os
from pathlib import Path

from ..calib_data import DATASETS, CalibrationData
from ..core.errors import RecipeError
from .opening import open_calibration, open_evaluation
from .recipe import Recipe


class Samples:
    """Opens what a recipe's ``data`` names.

    Args:
        recipe: The recipe.
        base: The folder that its paths are relative to.
    """

    def __init__(self, recipe: Recipe, base: Path) -> None:
        self._data = recipe.data
        self._seed = recipe.seed
        self._base = base
        self._open: dict[str, CalibrationData] = {}

    def has(self, role: str) -> bool:
        """Whether the recipe names samples for a role."""
        return getattr(self._data, role) is not None

    def get(self, role: str, needed_by: str) -> CalibrationData:
        """The samples of a role.

        Args:
            role: ``train``, ``calibration`` or ``evaluation``.
            needed_by: The step that asks, for the error.

        Raises:
            RecipeError: The recipe names none.
        """
        if role not in self._open:
            text = getattr(self._data, role)
            if text is None:
                raise RecipeError(
                    f"step {needed_by!r} needs samples, and data.{role} is not given",
                    remedy=f'add to [data] a line such as: {role} = "digits:train"',
                )
            self._open[role] = self._opened(role, text)
        return self._open[role]

    def _opened(self, role: str, text: str) -> CalibrationData:
        root = None if self._data.root is None else resolve(self._data.root, self._base)
        preprocess = (
            None if self._data.preprocess is None else resolve_text(self._data.preprocess, self._base)
        )
        opener = open_calibration if role == "calibration" else open_evaluation
        found = opener(resolve_text(text, self._base), root=root, preprocess=preprocess, seed=self._seed)
        assert found is not None
        return found


def resolve(path: str, base: Path) -> Path:
    """A path of a recipe: absolute, or relative to the recipe's folder."""
    return base / os.path.expanduser(path)  # leaves ~ as it is where there is no such user


def resolve_text(text: str, base: Path) -> str:
    """Text that begins with a path (``calib.npz:100``, ``models.py:teacher``), the path made whole if it is there.

    Names of data sets stay what they are, whatever lies in the folder.
    """
    head, colon, rest = text.partition(":")
    place = resolve(head, base)
    return f"{place}{colon}{rest}" if head and head not in DATASETS and place.exists() else text
