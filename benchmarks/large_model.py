"""How much memory a model of more than 2 GiB of weights takes, as a multiple of its weights.

    python benchmarks/large_model.py --work FOLDER      # 5 GB of disk
    python benchmarks/large_model.py --gib 0.25 --json

Writes a chain of matrix products tensor by tensor. Then commands run on it, each in a process of its own: pruning plans its cuts, quantization stores the weights in 8 bits, a comparison runs both models.
``peak`` is VmHWM: all pages that were ever resident at one time, those of mapped files too. The two columns beside it
are the most that was seen of each kind every 10 ms: memory of the process's own, and pages of files, which the system takes
back when it needs them. Those of an interpreter that only opened a tiny model are on the first line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).absolute().parents[1] / "tests"))
from large_chain import write_chain

WIDTH, HIDDEN = 1024, 4096
_BOUND = 1.5
_RUN = """
import sys
from pathlib import Path
from sardonyx.cli.app import main
try:
    main(sys.argv[2:])
finally:
    Path(sys.argv[1]).write_text(Path("/proc/self/status").read_text())
"""


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        command: Its words.
        seconds: Wall time.
        peak_bytes: VmHWM.
        own_bytes: The most RssAnon that was seen.
        file_bytes: The most RssFile that was seen.
        share: ``peak_bytes`` over the weights.
    """

    command: str
    seconds: float
    peak_bytes: int
    own_bytes: int
    file_bytes: int
    share: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.2, help="weights of the model")
    parser.add_argument("--work", type=Path, help="folder for the models")
    parser.add_argument("--samples", action="store_true", help="prune with samples too, which takes long")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
        folder = Path(scratch)
        write_chain(folder / "tiny.onnx", 1, 8, 16)
        blocks = round(arguments.gib * (1 << 30) / (8 * WIDTH * HIDDEN))
        weights = write_chain(folder / "m.onnx", blocks, WIDTH, HIDDEN)
        samples = np.random.default_rng(1).standard_normal((8, WIDTH)).astype(np.float32)
        np.savez(folder / "d.npz", y0=samples)
        if not arguments.json:
            print(f"{weights / 1e9:.2f} GB of weights", _HEAD, sep="\n", flush=True)
        rows = []
        for words in _COMMANDS + (_WITH_SAMPLES,) * arguments.samples:
            rows.append(measure(words.split(), folder, weights))
            if not arguments.json:
                print(line(rows[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"weights_bytes": weights, "rows": [asdict(row) for row in rows]}, indent=2))
    if any(row.share >= _BOUND for row in rows):
        sys.exit(f"a command took {_BOUND} times the weights or more")


_COMMANDS = (
    "inspect tiny.onnx",
    "inspect m.onnx",
    "prune m.onnx --criterion magnitude --no-compensate --params 0.7 --explain",
    "quantize m.onnx --weight-only int8 -o q.onnx",
    "compare m.onnx q.onnx --data d.npz --metric cosine",
)


_WITH_SAMPLES = "prune m.onnx --calib d.npz --params 0.7 --explain"
_HEAD = "  peak            own        files     time  command"


def measure(words: Sequence[str], folder: Path, weights: int) -> Measured:
    """Run a command in a folder, and look at its memory while it runs."""
    last, begin = folder / "status", time.monotonic()
    most = {"RssAnon": 0, "RssFile": 0}
    with (folder / "err").open("w+") as errors:
        call = [sys.executable, "-c", _RUN, str(last), *words]
        child = subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
        while child.poll() is None:
            seen = _kilobytes(Path(f"/proc/{child.pid}/status"))
            most = {name: max(size, seen.get(name, 0)) for name, size in most.items()}
            time.sleep(0.01)
        if child.returncode:
            errors.seek(0)
            sys.exit(f"sardonyx {' '.join(words)}: {errors.read()}")
    peak = _kilobytes(last)["VmHWM"] * 1024
    seconds = time.monotonic() - begin
    own, files = (most[name] * 1024 for name in ("RssAnon", "RssFile"))
    return Measured(" ".join(words), seconds, peak, own, files, peak / weights)


def _kilobytes(status: Path) -> dict[str, int]:
    """The sizes in a status file of /proc; empty where the process is gone."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}


def line(row: Measured) -> str:
    """A measurement as text, in GB and as a multiple of the weights."""
    own, files = row.own_bytes / 1e9, row.file_bytes / 1e9
    return (
        f"{row.peak_bytes / 1e9:5.2f} GB {row.share:4.2f}x  {own:5.2f} GB  {files:5.2f} GB  "
        f"{row.seconds:4.0f} s  {row.command}"
    )


if __name__ == "__main__":
    main()
