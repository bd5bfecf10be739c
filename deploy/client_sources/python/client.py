"""Runs the model of a bundle with ONNX Runtime and puts it to the bundle's self-test.

::

    pip install numpy onnxruntime
    python client/python/client.py              # self-test on the CPU; 0 if it passes, 1 if not
    python client/python/client.py --ep cuda --model reference.onnx

Nothing of this needs more than numpy and onnxruntime; take :class:`Client` into your own program.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Array = npt.NDArray[Any]
BUNDLE = Path(__file__).resolve().parents[2]


def providers() -> dict[str, str]:
    """The execution providers of this ONNX Runtime, by the short names that ``--ep`` takes."""
    return {name.removesuffix("ExecutionProvider").lower(): name for name in ort.get_available_providers()}


class Client:
    """A model of a bundle, ready to run.

    Args:
        folder: The bundle.
        ep: Short name of the execution provider, such as ``cpu`` or ``cuda``.
        model: Which of the bundle's model files; the one that the manifest names first if None.
        threads: Threads inside an operator; 0 leaves the choice to ONNX Runtime.
    """

    def __init__(self, folder: Path, *, ep: str = "cpu", model: str | None = None, threads: int = 0) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf8"))
        labels = self.manifest["labels"]
        self.labels = (folder / labels).read_text(encoding="utf8").split("\n") if labels else []
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        chosen = providers()[ep]
        file = folder / (model or self.manifest["model"]["file"])
        self.session = ort.InferenceSession(
            file, options, providers=list(dict.fromkeys([chosen, "CPUExecutionProvider"]))
        )
        if self.session.get_providers()[0] != chosen:
            raise RuntimeError(f"{chosen} could not be used on this machine")

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name for inputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))

    def answers(self, scores: Array) -> list[str]:
        """The label with the largest score for each row of shape ``(samples, classes)``."""
        return [self.labels[i] if i < len(self.labels) else f"class {i}" for i in scores.argmax(1)]

    def self_test(self) -> tuple[bool, str]:
        """Whether the samples in ``self_test/`` give what they should, and a line that says so."""
        test = self.manifest["self_test"]
        wanted = {tensor["name"]: self._read(tensor) for tensor in test["outputs"]}
        inputs = {tensor["name"]: self._read(tensor) for tensor in test["inputs"]}
        runs = test["samples"] // test["batch"]
        cut = {name: np.split(array, runs) for name, array in inputs.items()}
        results, seconds = [], []
        for index in range(runs):
            start = time.perf_counter()
            results.append(self.run({name: parts[index] for name, parts in cut.items()}))
            seconds.append(time.perf_counter() - start)
        got = {name: np.concatenate([result[name] for result in results]) for name in wanted}
        passed, largest = compare(test, wanted, got)
        worst = f"{largest:.1e}".replace("e-0", "e-").replace("e+0", "e+")
        line = f"self-test: {passed} of {test['samples']} samples, largest difference {worst}"
        timing = f"median {1e3 * median(seconds):.2f} ms for a batch of {test['batch']}"
        return passed == test["samples"], f"{line}\n{timing}"

    def _read(self, tensor: Mapping[str, Any]) -> Array:
        """An array of ``self_test/``: raw, little-endian, row by row."""
        dtype = np.dtype(tensor["type"]).newbyteorder("<")
        return np.fromfile(self.folder / tensor["file"], dtype).reshape(tensor["shape"])


def compare(
    test: Mapping[str, Any], wanted: Mapping[str, Array], got: Mapping[str, Array]
) -> tuple[int, float]:
    """How many samples pass, and the largest difference of all.

    A sample passes when all its outputs are within the tolerance, integers equal. The kernels of another CPU round
    int8 in another way: a few samples of a classifier may be beyond it, if their largest score stays where it was.
    """
    samples, runs, limits = test["samples"], test["samples"] // test["batch"], test["tolerance"]
    within, largest = np.ones(samples, bool), 0.0
    for name, want in wanted.items():
        have = got[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            raise ValueError(f"output {name} is {have.dtype} {have.shape}, not {want.dtype} {want.shape}")
        fits = have == want
        if want.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                off = np.nan_to_num(np.abs(have.astype(float) - want), nan=np.inf)
            fits = np.isfinite(off) & (off <= limits["absolute"] + limits["relative"] * np.abs(want))
            largest = max(largest, float(off.max(initial=0.0)))
        # Where rows are not samples, all samples of a run stand or fall together.
        units = samples if len(want) == samples else runs
        within &= np.repeat(fits.reshape(units, -1).all(1), samples // units)
    name, want = next(iter(wanted.items()))
    is_classifier = len(wanted) == 1 and want.ndim == 2 and want.dtype.kind == "f" and len(want) == samples
    if is_classifier and (~within).sum() <= (1 - test["labels_agree"]) * samples + 1e-9:
        within |= (want.argmax(1) == got[name].argmax(1)) & np.isfinite(got[name]).all(1)
    return int(within.sum()), largest


def main() -> int:
    """Run the self-test; the exit code says how it went."""
    known = providers()
    parser = argparse.ArgumentParser(description="Run the self-test of a bundle.")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder with manifest.json")
    parser.add_argument("--ep", choices=known, default="cpu", help="execution provider of this machine")
    parser.add_argument("--model", metavar="FILE", help="another model file of the bundle")
    parser.add_argument("--threads", type=int, default=0, help="threads inside an operator")
    words = parser.parse_args()
    passed, text = Client(words.bundle, ep=words.ep, model=words.model, threads=words.threads).self_test()
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
