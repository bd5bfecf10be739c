"""Sardonyx, Torch-Pruning and onnxsim on the same models, with the same samples, measured in one run.

    python benchmarks/pruning/peers.py
    python benchmarks/pruning/run.py
    python benchmarks/pruning/run.py --onnx FOLDER/resnet20.onnx FOLDER/mbv2.onnx --docs out/pruning

Trains two small networks on Fashion-MNIST (kept in --work), exports them once, and gives all tools the same weights
and the same 1,024 training images. Nothing is trained after a cut. Torch-Pruning cuts the torch module, which is then
exported as the uncut one was; the other two cut the .onnx file. Files given with --onnx go to the latter two alone.
Prints the tables, and writes them with a picture to --docs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import sardonyx as sx

sys.path.append(str(Path(__file__).absolute().parents[1] / "side_by_side"))

from cases import Bench
from environments import ENVIRONMENTS
from measuring import Row, measure_cases
from peers import peers
from picture import draw
from report import describe, page, table
from subjects import add_arguments, chosen_subjects, write_samples

NAME = "pruning_benchmark"
"""What the page and its picture are called."""


def main() -> None:
    arguments = _parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.docs.mkdir(parents=True, exist_ok=True)
    multiple = sx.get_target("auto").channel_multiple
    tools = peers(multiple)
    calibration = sx.open_data(f"fashion-mnist:train:{arguments.samples}")
    test = sx.open_data(
        "fashion-mnist:test" if arguments.limit is None else f"fashion-mnist:test:{arguments.limit}"
    )
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        samples = write_samples(calibration, folder / "samples.npz")
        bench = Bench(calibration, samples, arguments.levels, folder, arguments.environments)
        for subject in chosen_subjects(arguments):
            cases = bench.cases(subject, tools)
            found[subject.name] = measure_cases(
                cases, test, threads=arguments.threads, seconds=arguments.seconds
            )
            print(f"\n## {subject.name}\n\n{table(found[subject.name])}", flush=True)
    about = describe(tools, arguments.samples, len(test), arguments.threads)
    tables = {name: table(rows) for name, rows in found.items()}
    (arguments.docs / f"{NAME}.md").write_text(page(tables, about, f"{NAME}.svg"), encoding="utf8")
    (arguments.docs / f"{NAME}.svg").write_bytes(draw(found))
    print(f"\nwrote {arguments.docs / NAME}.md and .svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--onnx", nargs="*", type=Path, default=[], help="files to prune too: image in, logits out"
    )
    parser.add_argument(
        "--levels", nargs="+", type=float, default=[0.75, 0.5, 0.35, 0.25], help="parameters left"
    )
    parser.add_argument("--samples", type=int, default=1024, help="calibration images")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="the peers', from peers.py")
    add_arguments(parser, page="page and picture go")
    return parser


if __name__ == "__main__":
    main()
