"""What the workers of all quantizers share: the samples as they are fed, and the one call that is timed.

Only Python and numpy are needed: this runs in the environment of the tool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jobs import serve

Feed = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Call:
    """What a quantizer is given.

    Attributes:
        onnx: The float model.
        output: The file to write.
        input: The name of the model's only input.
        batch: Samples in one run.
        samples: Images and labels, in a file.
        setting: How it is told to quantize.
    """

    onnx: Path
    output: Path
    input: str
    batch: int
    samples: Path
    setting: dict[str, Any]

    def feeds(self) -> list[Feed]:
        """The images in whole batches, each under the name of the input."""
        images = self.images()
        starts = range(0, len(images) - self.batch + 1, self.batch)
        return [{self.input: images[start : start + self.batch]} for start in starts]

    def images(self) -> npt.NDArray[Any]:
        """All images, stacked on axis 0."""
        with np.load(self.samples, allow_pickle=False) as file:
            images: npt.NDArray[Any] = file["images"]
        return images


class Reader:
    """The samples as onnxruntime's calibrators, and those derived from them, ask for them.

    Args:
        feeds: The batches.
    """

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = feeds
        self._left: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next batch; None after the last."""
        return next(self._left, None)

    def rewind(self) -> None:
        """Start again with the first batch."""
        self._left = iter(self._feeds)


def answer(quantize: Callable[[Call], None]) -> None:
    """Do the job named on the command line, in which every case is one call.

    Args:
        quantize: Writes the quantized file.
    """

    def make(job: dict[str, Any]) -> Callable[[str, Path], float]:
        def perform(case: str, output: Path) -> float:
            call = Call(
                Path(job["onnx"]), output, job["input"], job["batch"], Path(job["samples"]), job["setting"]
            )
            start = time.monotonic()
            quantize(call)
            if not output.exists():
                raise FileNotFoundError("the call ended without a file")
            return time.monotonic() - start

        return perform

    serve(make)
