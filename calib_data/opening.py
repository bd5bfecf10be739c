"""From what a user writes for DATA to samples."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..core.errors import DataError, UsageError
from .data import CalibrationData
from .datasets import DATASETS, open_dataset
from .feeds import from_function
from .images import ImageSource, open_images
from .preprocessing import Preprocessing

_FUNCTION = re.compile(r"(?P<path>.+\.py):(?P<name>[A-Za-z_]\w*)")
_REMEDY = (
    "give an .npz file, a folder of images with --preprocess, file.py:function, or a data set's name: "
    + ", ".join(DATASETS)
)


class DataName(NamedTuple):
    """What a user wrote, taken apart."""

    target: str
    split: str | None
    limit: int | None


def open_data(
    text: str,
    *,
    root: Path | str | None = None,
    preprocess: Preprocessing | str | None = None,
    default_limit: int | None = None,
    seed: int = 0,
) -> CalibrationData:
    """Open samples by what a user writes for DATA.

    Args:
        text: An ``.npz`` file, a folder of images, ``file.py:function`` or a data set's name; a data set's name may
            carry ``:split`` (``train`` without one), and all of them ``:limit``.
        root: The folder of a data set that is not in its usual place.
        preprocess: What is done to images: a :class:`Preprocessing`, a TOML file, or ``key=value`` pairs.
        default_limit: How many samples are chosen where ``text`` names no limit; None takes all.
        seed: Seed of that choice.

    Raises:
        UsageError: The name is not known, or a folder of images comes without preprocessing.
        DataError: The samples cannot be accepted.
        LimitError: They take too much memory.
    """
    name = parse_data_name(text)
    data = _open(name, None if root is None else Path(root), preprocess)
    if preprocess is not None and not isinstance(data.source, ImageSource):
        data = replace(data, notes=(*data.notes, f"the preprocessing does not apply to {name.target}"))
    limit = default_limit if name.limit is None else name.limit
    return data if limit is None else data.subset(limit, seed=seed)


def parse_data_name(text: str) -> DataName:
    """Take ``target[:split][:limit]`` apart; only data sets by name have splits.

    Raises:
        UsageError: A part is empty, or does not belong there.
    """
    first, *parts = text.split(":")
    if first in DATASETS:
        limit = int(parts.pop()) if parts and _is_count(parts[-1]) else None
        split = parts.pop() if parts else None
        if parts or split == "":
            raise UsageError(f"{text!r} is not NAME[:SPLIT][:LIMIT]", remedy=_REMEDY)
        return DataName(first, split, limit)
    target, colon, last = text.rpartition(":")
    if colon and target and _is_count(last) and not Path(text).exists():
        return DataName(target, None, int(last))
    return DataName(text, None, None)


def places_read(*texts: str | None) -> list[Path]:
    """The files and folders that texts for DATA name, as far as they are there; names of data sets are no places."""
    given = [(text, text.partition(":")[0]) for text in texts if text]
    names = [name for text, head in given if head not in DATASETS for name in dict.fromkeys((text, head))]
    return [Path(name) for name in names if name and os.path.exists(name)]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _open(name: DataName, root: Path | None, preprocess: Preprocessing | str | None) -> CalibrationData:
    if name.target in DATASETS:
        return open_dataset(name.target, name.split or "train", root)
    path = Path(name.target)
    if path.is_dir():
        if preprocess is None:
            raise UsageError(f"{path} is a folder of images without preprocessing", remedy="add --preprocess")
        chosen = Preprocessing.parse(preprocess) if isinstance(preprocess, str) else preprocess
        return open_images(path, chosen)
    function = _FUNCTION.fullmatch(name.target)
    if function is not None:
        return from_function(Path(function["path"]), function["name"])
    if path.suffix == ".npz":
        return CalibrationData.from_npz(path)
    if path.exists():
        raise DataError(f"{path} is not a kind of data that is known", remedy=_REMEDY)
    raise UsageError(f"there is no data named {name.target!r}", remedy=_REMEDY)
