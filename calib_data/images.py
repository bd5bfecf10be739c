"""A folder of images as samples: decoded when they are visited, named when they cannot be."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.errors import DataError, EnvironmentFault
from ..core.tensors import Array, Feed
from .data import CalibrationData
from .preprocessing import Preprocessing

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
_REMEDY = "remove the file, or convert it to an ordinary PNG or JPEG"


@dataclass(frozen=True)
class ImageSource:
    """Images on disk, decoded when they are read.

    Attributes:
        paths: The files.
        preprocessing: What is done to each.
    """

    paths: tuple[Path, ...]
    preprocessing: Preprocessing

    @property
    def names(self) -> tuple[str, ...]:
        """The one input."""
        return (self.preprocessing.name,)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> Feed:
        """Decode the images at the indices.

        Raises:
            DataError: An image is damaged, or sizes differ within the batch; the file is named.
        """
        images = [read_image(self.paths[i], self.preprocessing) for i in indices]
        if len({image.shape for image in images}) > 1:
            raise DataError("the images differ in size", remedy="state a size in the preprocessing")
        return {self.preprocessing.name: np.stack(images)}


def open_images(folder: Path, preprocessing: Preprocessing) -> CalibrationData:
    """Take the images of a folder in sorted order; where it has sub-folders, their names are the labels.

    Files that are not readable images, or declare too many pixels, are left out; the notes count and name them.

    Args:
        folder: Images, or one sub-folder of images for each class.
        preprocessing: What is done to each.

    Raises:
        DataError: There is no readable image, or images lie both in the folder and in sub-folders.
        EnvironmentFault: Too many files are open.
    """
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    loose = _images_in(folder)
    found = [(path, label) for label, name in enumerate(classes) for path in _images_in(folder / name)]
    if loose and found:
        raise DataError(
            f"{folder} holds images beside sub-folders of images", remedy="put every image in a class"
        )
    candidates = found or [(path, -1) for path in loose]
    refused = {path: reason for path, _ in candidates if (reason := _check_header(path, preprocessing))}
    kept = [(path, label) for path, label in candidates if path not in refused]
    if not kept:
        raise DataError(f"{folder} holds no readable image", remedy="give PNG or JPEG files")
    source = ImageSource(tuple(path for path, _ in kept), preprocessing)
    labels = np.array([label for _, label in kept], np.int64) if found else None
    notes = (*_note_skipped(refused, folder), *_note_classes(classes if found else []))
    return CalibrationData(source, tuple(range(len(source))), labels, folder.name, notes=notes)


def read_image(path: Path, preprocessing: Preprocessing) -> Array:
    """Decode one image.

    Raises:
        DataError: It is damaged or too large.
        EnvironmentFault: Too many files are open.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                return preprocessing.apply(image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        _refuse_too_many_open(error)
        raise DataError(f"image {path} cannot be decoded: {error}", remedy=_REMEDY) from error


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())


def _check_header(path: Path, preprocessing: Preprocessing) -> str | None:
    """Why an image is left out, from its header alone; None where it may stay."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                pixels = image.width * image.height
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        _refuse_too_many_open(error)
        return type(error).__name__
    return None if pixels <= preprocessing.max_pixels else f"{pixels:,} pixels"


def _refuse_too_many_open(error: BaseException) -> None:
    """An image that cannot be opened because others are is not to be left out."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        raise EnvironmentFault(
            f"too many files are open: {error}", remedy="allow more of them: ulimit -n 1024"
        ) from error


def _note_skipped(refused: dict[Path, str], folder: Path) -> tuple[str, ...]:
    if not refused:
        return ()
    shown = ", ".join(f"{path.relative_to(folder)} ({reason})" for path, reason in list(refused.items())[:8])
    return (f"{len(refused)} files were skipped: {shown}{', ...' if len(refused) > 8 else ''}",)


def _note_classes(classes: Sequence[str]) -> tuple[str, ...]:
    return (f"labels: {', '.join(f'{i}={name}' for i, name in enumerate(classes))}",) if classes else ()
