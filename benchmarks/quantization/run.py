"""Sardonyx, onnxruntime and other quantizers on the same models, with the same samples, measured in one run.

    python benchmarks/quantization/run.py
    python benchmarks/quantization/run.py --models --onnx FOLDER/resnet20.onnx FOLDER/vit.onnx --docs out/quantization

Installs the peers that are not there yet, each into an environment of its own, trains two small networks on
Fashion-MNIST (kept in --work), exports them once, and gives all tools the same files and the same 512 training images.
A peer that cannot be installed, or fails, has a row that says why. Files given with --onnx take an image and give logits.
Prints the tables, and writes them to --docs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import sardonyx as sx

sys.path.append(str(Path(__file__).absolute().parents[1] / "side_by_side"))

from cases import Bench
from duels import Duel, fight
from environments import ENVIRONMENTS, Peer, install
from measured import measure_files
from peers import tools
from report import describe, duels_table, page, table
from subjects import Subject, add_arguments, chosen_subjects, write_samples

NAME = "quantization_benchmark"
"""What the page is called."""


def main() -> None:
    everything = tools(reduce_range=sx.get_target("auto").reduce_range)
    arguments = _parser(everything).parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.docs.mkdir(parents=True, exist_ok=True)
    wanted = [tool for tool in everything if tool.name in arguments.tools]
    lacking = install(wanted, arguments.environments)
    calibration = sx.open_data(f"fashion-mnist:train:{arguments.samples}")
    test = sx.open_data(
        "fashion-mnist:test" if arguments.limit is None else f"fashion-mnist:test:{arguments.limit}"
    )
    tables: dict[str, str] = {}
    duels: dict[str, list[Duel]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        samples = write_samples(calibration, folder / "samples.npz")
        bench = Bench(samples, folder, arguments.environments, lacking, arguments.longest)
        for subject in chosen_subjects(arguments):
            tables[subject.name], duels[subject.name] = _compare(bench, subject, wanted, test, arguments)
            print(f"\n## {subject.name}\n\n{tables[subject.name]}", flush=True)
    about = describe(wanted, arguments.samples, len(test), arguments.threads)
    fastest = duels_table(duels)
    print(f"\n{fastest}")
    path = arguments.docs / f"{NAME}.md"
    path.write_text(page(tables, fastest, about), encoding="utf8")
    print(f"\nwrote {path}")


def _compare(
    bench: Bench,
    subject: Subject,
    wanted: list[Peer],
    test: sx.CalibrationData,
    arguments: argparse.Namespace,
) -> tuple[str, list[Duel]]:
    """The table of one model, and its fastest files against each other."""
    cases = bench.cases(subject, wanted)
    files = {case: case.file for case in cases if case.file is not None}
    measured = measure_files(files, test, threads=arguments.threads, seconds=arguments.seconds)
    found = [(case, measured.get(case, case.note)) for case in cases]
    if isinstance(found[0][1], str):
        sys.exit(f"{subject.onnx} {found[0][1]}")
    duels = fight(found, test, threads=arguments.threads, seconds=arguments.seconds / 8)
    return table(found), duels


def _parser(everything: tuple[Peer, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [tool.name for tool in everything]
    parser.add_argument(
        "--onnx", nargs="*", type=Path, default=[], help="files to quantize too: image in, logits out"
    )
    parser.add_argument("--tools", nargs="+", choices=names, default=names)
    parser.add_argument("--samples", type=int, default=512, help="calibration images")
    parser.add_argument("--longest", type=float, default=1800.0, help="seconds a tool may take for one file")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, help="the peers'; made where missing"
    )
    add_arguments(parser, page="the page goes")
    return parser


if __name__ == "__main__":
    main()
