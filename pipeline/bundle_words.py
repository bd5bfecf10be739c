"""What a user says of a bundle in words: labels, licence, meanings, numbers for dimensions, preprocessing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..calib_data import CalibrationData, Preprocessing
from ..calib_data.datasets import PixelSource
from ..calib_data.images import ImageSource
from ..core.errors import DataError, UsageError
from ..core.plain_file import read_plain
from ..core.tensors import Feed
from ..deploy import PreprocessingEntry

_LONGEST = 1000
_LICENCE = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+|[()])*")


def read_labels(text: str) -> tuple[str, ...]:
    """Names of classes: of a file, one a line, or written out as ``cat,dog``.

    Args:
        text: The path of a file, or names with commas between them.

    Raises:
        DataError: The file cannot be read, is no text, or a name in it is empty, of several lines or too long.
        UsageError: There is no such file, and it is no list.
    """
    path = Path(text)
    if not ("," in text or path.is_file()):
        raise UsageError(f"there is no file of labels {text[:200]!r}", remedy="name a file, or write cat,dog")
    names = _lines(path) if path.is_file() else [name.strip() for name in text.split(",")]
    for index, name in enumerate(names):
        if not name.strip() or len(name) > _LONGEST or len(name.splitlines()) > 1:
            raise DataError(
                f"label {index} is empty, of several lines, or longer than {_LONGEST} characters",
                remedy="give each class a name",
            )
    return tuple(names)


def _lines(path: Path) -> list[str]:
    remedy = "give UTF-8 text, a name a line"
    content = read_plain(path, "labels_bytes", what="a list of labels", remedy=remedy, kind=DataError)
    try:
        text = content.decode("utf8")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read the labels {path}: {error}", remedy=remedy) from error
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def check_labels(labels: Sequence[str], outputs: Feed) -> None:
    """Refuse labels that are more or fewer than the classes, where there is one output of scores.

    Raises:
        UsageError: They are.
    """
    scores = [array for array in outputs.values() if array.ndim == 2 and array.dtype.kind == "f"]
    if labels and len(scores) == 1 and len(scores[0][0]) != len(labels):
        raise UsageError(
            f"{len(labels)} labels are given, and the model has {len(scores[0][0])} classes",
            remedy="give a label for each class, in the order of the scores",
        )


def check_licence(text: str | None) -> str | None:
    """A licence as SPDX writes it: ``MIT``, ``Apache-2.0 WITH LLVM-exception``, ``LicenseRef-ours``.

    Raises:
        UsageError: It is something else.
    """
    if text is not None and not (len(text) <= 200 and _LICENCE.fullmatch(text)):
        raise UsageError(
            f"{text[:80]!r} is no SPDX licence expression", remedy="write it like Apache-2.0 or MIT"
        )
    return text


def parse_fix(pairs: Sequence[str]) -> dict[str, int | tuple[int, ...]]:
    """Numbers for dimensions, as ``N=1``, and shapes for inputs, as ``image=1x3x224x224``.

    Raises:
        UsageError: A pair is neither, or names something twice.
    """
    found: dict[str, int | tuple[int, ...]] = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=")
        if not name or name in found or not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", text):
            raise UsageError(
                f"--fix {pair[:80]!r}",
                remedy="write a dimension like N=1, or an input like image=1x3x224x224, once",
            )
        sizes = tuple(int(part) for part in text.split("x"))
        found[name] = sizes[0] if len(sizes) == 1 else sizes
    return found


def parse_meanings(pairs: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What inputs and outputs are, as ``image=a photograph in RGB``.

    Args:
        pairs: A name and a text each.
        names: Names of the inputs and outputs.

    Raises:
        UsageError: A pair is no such thing, or names something else.
    """
    found = {}
    for pair in pairs:
        name = max((n for n in names if pair.startswith(f"{n}=")), key=len, default=None)
        if name is None or name in found or not 0 < len(pair) - len(name) - 1 <= _LONGEST:
            raise UsageError(
                f"--meaning {pair[:80]!r}",
                remedy=f"write NAME=TEXT once for each of {', '.join(names)[:200]}",
            )
        found[name] = pair[len(name) + 1 :]
    return found


def describe_preprocessing(
    data: CalibrationData | None, stated: Preprocessing | None
) -> PreprocessingEntry | None:
    """How a picture becomes an input: as stated, or as the samples were made; None where neither says.

    Mean and deviation are those of pixels from 0 to 1, whatever the samples were divided by.

    Args:
        data: The samples.
        stated: What the user said.
    """
    source = None if data is None else data.source
    if stated is None and isinstance(source, ImageSource):
        stated = source.preprocessing
    if stated is not None:
        return _of_preprocessing(stated)
    return _of_pixels(source) if isinstance(source, PixelSource) else None


def _of_preprocessing(found: Preprocessing) -> PreprocessingEntry:
    size = (found.size * 2 if len(found.size) == 1 else found.size) or None
    share = found.scale / 255.0
    words = [found.channels.upper() if found.channels != "gray" else "grey"]
    if size is not None and found.resize is not None:
        words.append(f"the shorter side to {found.resize} and {size[0]}x{size[1]} cut from the centre")
    elif size is not None:
        words.append(f"stretched to {size[0]}x{size[1]}")
    words.append(
        f"{found.interpolation}; pixels / {found.scale:g}, less {_listed(found.mean)}, over {_listed(found.std)}"
    )
    words.append(f"{found.layout.upper()}, {found.dtype}")
    return PreprocessingEntry(
        text=", ".join(words),
        mean=tuple(value * share for value in found.mean),
        std=tuple(value * share for value in found.std),
        layout="NCHW" if found.layout == "nchw" else "NHWC",
        size=size,
        channels=1 if found.channels == "gray" else 3,
    )


def _of_pixels(source: PixelSource) -> PreprocessingEntry:
    channels, *size = source.pixels.shape[1:]
    kind = "grey" if channels == 1 else "RGB"
    return PreprocessingEntry(
        text=(
            f"{kind}, {size[0]}x{size[1]}; pixels from 0 to 1, less {_listed(source.mean)}, over {_listed(source.std)}, "
            "NCHW, float32"
        ),
        mean=tuple(source.mean),
        std=tuple(source.std),
        layout="NCHW",
        size=tuple(size),
        channels=channels,
    )


def _listed(numbers: Sequence[float]) -> str:
    return "/".join(f"{number:g}" for number in numbers)


def meanings_of(
    given: Mapping[str, str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    origin: str,
    labels: Sequence[str],
) -> dict[str, str]:
    """What the manifest says of inputs and outputs: the user's words, and where the samples come from.

    Args:
        given: The user's words, by name.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        origin: Where the samples come from.
        labels: Names of the classes.
    """
    told = {name: "; ".join(filter(None, (given.get(name), origin))) for name in inputs}
    scores = "a score for each label" if labels and len(outputs) == 1 else ""
    return told | {name: given.get(name, scores) for name in outputs}
