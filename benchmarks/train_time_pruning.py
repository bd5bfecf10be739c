"""Pruning while training beside pruning afterwards: what each costs, and what it gives.

    python benchmarks/train_time_pruning.py

A network is trained on Fashion-MNIST. Every row begins with its weights: it is pruned as it is, or trained on for some
epochs while weights or neurons go. What single weights lose is counted as zeros; what neurons lose is cut out of the
exported graph, and every figure is that of the file. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sardonyx as sx
import torch
from torch import nn

sys.path.append(str(Path(__file__).absolute().parent / "side_by_side"))

from networks import INPUT_SHAPE, NETWORKS
from sardonyx.exporter import load_weights
from sardonyx.pipeline import cut_vanished, find_neurons
from sardonyx.runtime import Accuracy, environment_fingerprint, evaluate
from sardonyx.training import Lesson, StepHook, TrainOptions, make_module, train_by, train_supervised
from sardonyx.training.graph import TrainableGraph
from sardonyx.training.losses import supervised
from sardonyx.training.pruning import (
    CubicSchedule,
    GradualMagnitude,
    GradualStructural,
    GroupLasso,
    L1Penalty,
    NeuronGroup,
)
from tables import NOTHING, accuracy_cell, markdown

HEAD = ("method", "seconds", "top-1 (95 %)", "parameters left", "not zero", "bytes")


@dataclass(frozen=True)
class Bench:
    """What all rows share.

    Attributes:
        network: The network's name.
        weights: Its trained weights.
        train: Training images.
        test: Test images.
        calibration: Images that pruning afterwards may look at.
        options: Of every further training.
        left: Share of the parameters that is to stay.
        threads: Threads.
        work: Where checkpoints go.
    """

    network: str
    weights: Path
    train: sx.CalibrationData
    test: sx.CalibrationData
    calibration: sx.CalibrationData
    options: TrainOptions
    left: float
    threads: int
    work: Path

    @property
    def schedule(self) -> CubicSchedule:
        """The same for weights and for neurons."""
        return CubicSchedule(1 - self.left, 0.0, 0.6, 10)

    def fresh(self) -> nn.Module:
        """The trained network."""
        module = NETWORKS[self.network]()
        load_weights(module, self.weights)
        return module.eval()

    def groups(self, module: nn.Module) -> tuple[NeuronGroup, ...]:
        """The neurons of the network."""
        return find_neurons(exported(module), module, self.calibration).groups

    def train_on(
        self,
        module: nn.Module,
        hooks: Sequence[StepHook] = (),
        *,
        first_epoch: int = 1,
        options: TrainOptions | None = None,
    ) -> None:
        """Train for the further epochs; the best of those that end with all pruned is kept."""
        lesson = Lesson(supervised(), hooks=hooks, first_epoch=first_epoch)
        place = self.work / "further.safetensors"
        train_by(lesson, module, self.train, self.test, options or self.options, checkpoint=place)


@dataclass(frozen=True)
class Row:
    """A method and its file.

    Attributes:
        method: What was done.
        seconds: How long that took, beyond the first training.
        model: The file's contents; None where there is none.
        top1: Right answers of the file.
        problem: Why there is no file.
    """

    method: str
    seconds: float
    model: sx.ModelArtifact | None = None
    top1: Accuracy | None = None
    problem: str = ""


def exported(module: nn.Module) -> sx.ModelArtifact:
    return sx.export(module, inputs={"image": sx.InputShape(INPUT_SHAPE)}).model


def afterwards(bench: Bench, scope: str) -> sx.ModelArtifact:
    return sx.prune(exported(bench.fresh()), bench.calibration, params=bench.left, scope=scope, align=1).model


def afterwards_and_on(bench: Bench) -> sx.ModelArtifact:
    graph = TrainableGraph(afterwards(bench, "global").load())
    # Without normalisation, which the export has folded, a graph bears no large rate.
    options = replace(bench.options, optimizer="adamw", learning_rate=1e-3)
    bench.train_on(graph, options=options)
    return sx.ModelArtifact.of(graph.write_back())


def trained_on(bench: Bench) -> sx.ModelArtifact:
    module = bench.fresh()
    bench.train_on(module)
    return exported(module)


def gradual_weights(bench: Bench, scope: str) -> sx.ModelArtifact:
    module = bench.fresh()
    hook = GradualMagnitude(bench.schedule, scope=scope)
    bench.train_on(module, (hook,), first_epoch=bench.schedule.first_epoch(bench.options.epochs))
    return exported(module)


def gradual_neurons(bench: Bench, scope: str) -> sx.ModelArtifact:
    module = bench.fresh()
    groups = bench.groups(module)
    hook = GradualStructural(groups, bench.schedule, scope=scope)
    bench.train_on(module, (hook,), first_epoch=bench.schedule.first_epoch(bench.options.epochs))
    return cut_vanished(exported(module), module, groups, bench.calibration).model


def lasso(bench: Bench, strength: float) -> sx.ModelArtifact:
    module = bench.fresh()
    groups = bench.groups(module)
    hook = GroupLasso(groups, strength, bench.options, warmup=0.1, end=0.6, adaptive=1)
    bench.train_on(module, (hook,), first_epoch=hook.first_epoch(bench.options.epochs))
    return cut_vanished(exported(module), module, groups, bench.calibration).model


def l1(bench: Bench, strength: float) -> sx.ModelArtifact:
    module = bench.fresh()
    hook = L1Penalty(strength, bench.options, warmup=0.1, end=0.6)
    bench.train_on(module, (hook,), first_epoch=hook.first_epoch(bench.options.epochs))
    return exported(module)


def methods(arguments: argparse.Namespace) -> dict[str, Callable[[Bench], sx.ModelArtifact]]:
    on = f"{arguments.further} epochs"
    group_strength, l1_strength = arguments.group_lasso, arguments.l1
    return {
        "as trained": lambda bench: exported(bench.fresh()),
        f"trained on, {on}": trained_on,
        "neurons, afterwards, local": lambda bench: afterwards(bench, "local"),
        "neurons, afterwards, global": lambda bench: afterwards(bench, "global"),
        f"neurons, afterwards, global, then {on}": afterwards_and_on,
        f"neurons, gradual, local, {on}": lambda bench: gradual_neurons(bench, "local"),
        f"neurons, gradual, global, {on}": lambda bench: gradual_neurons(bench, "global"),
        f"neurons, group lasso {group_strength:g}, {on}": lambda bench: lasso(bench, group_strength),
        f"weights, gradual magnitude, by layer, {on}": lambda bench: gradual_weights(bench, "layer"),
        f"weights, gradual magnitude, global, {on}": lambda bench: gradual_weights(bench, "global"),
        f"weights, L1 {l1_strength:g}, {on}": lambda bench: l1(bench, l1_strength),
    }


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    bench = _bench(arguments)
    rows = []
    for method, make in methods(arguments).items():
        # Shares are against the first row, which is always there.
        if rows and arguments.only and not any(word in method for word in arguments.only):
            continue
        rows.append(_row(method, make, bench))
        print(" ".join(_cells(rows[-1], rows[0])), file=sys.stderr, flush=True)
    print(_about(arguments, bench) + "\n")
    print(markdown(HEAD, [_cells(row, rows[0]) for row in rows]))


def _row(method: str, make: Callable[[Bench], sx.ModelArtifact], bench: Bench) -> Row:
    start = time.monotonic()
    try:
        model = make(bench)
    except sx.SardonyxError as error:
        return Row(method, time.monotonic() - start, problem=error.cause)
    seconds = time.monotonic() - start
    return Row(method, seconds, model, evaluate(model, bench.test, threads=bench.threads))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet")
    parser.add_argument("--left", type=float, default=0.3, help="share of the parameters that stays")
    parser.add_argument("--samples", type=int, default=12_000, help="training images")
    parser.add_argument("--limit", type=int, default=10_000, help="test images")
    parser.add_argument("--epochs", type=int, default=4, help="of the first training")
    parser.add_argument("--further", type=int, default=4, help="epochs of every method that trains")
    parser.add_argument("--group-lasso", type=float, default=0.025, help="strength")
    parser.add_argument("--l1", type=float, default=0.02, help="strength")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="rows whose name holds one of these words")
    parser.add_argument("--work", type=Path, default=Path("out/train_time_pruning"))
    return parser


def _bench(arguments: argparse.Namespace) -> Bench:
    """The trained network: from an earlier run, or trained now."""
    train = sx.open_data(f"fashion-mnist:train:{arguments.samples}")
    test = sx.open_data(f"fashion-mnist:test:{arguments.limit}")
    arguments.work.mkdir(parents=True, exist_ok=True)
    weights = arguments.work / f"{arguments.network}-{arguments.samples}-{arguments.epochs}.safetensors"
    if not weights.is_file():
        print(f"training {arguments.network}", file=sys.stderr, flush=True)
        module = make_module(NETWORKS[arguments.network], 0)
        first = TrainOptions(epochs=arguments.epochs, precision="fp32")
        train_supervised(module, train, test, first, checkpoint=weights)
    further = TrainOptions(epochs=arguments.further, learning_rate=0.05, precision="fp32")
    calibration = train.subset(min(1024, len(train)))
    return Bench(
        arguments.network,
        weights,
        train,
        test,
        calibration,
        further,
        arguments.left,
        arguments.threads,
        arguments.work,
    )


def _cells(row: Row, first: Row) -> tuple[str, ...]:
    if row.model is None or first.model is None:
        return row.method, f"{row.seconds:.0f}", row.problem, NOTHING, NOTHING, NOTHING
    params, zeros = _count(row.model)
    whole, _ = _count(first.model)
    return (
        row.method,
        f"{row.seconds:.0f}",
        accuracy_cell(row.top1),
        f"{params:,} ({100 * params / whole:.0f} %)",
        f"{params - zeros:,} ({100 * (params - zeros) / whole:.0f} %)",
        f"{row.model.size_bytes:,}",
    )


def _count(model: sx.ModelArtifact) -> tuple[int, int]:
    """Parameters of a file, and how many of them are zero."""
    tensors = [v.const_value for v in model.load().graph.initializers.values()]
    arrays = [tensor.numpy() for tensor in tensors if tensor is not None]
    floats = [array for array in arrays if array.dtype.kind == "f"]
    return sum(array.size for array in floats), sum(int(np.sum(array == 0)) for array in floats)


def _about(arguments: argparse.Namespace, bench: Bench) -> str:
    return (
        f"{arguments.network} on Fashion-MNIST: {len(bench.train):,} training images, {len(bench.test):,} test images, "
        f"{arguments.epochs} epochs at first; {100 * bench.left:.0f} % of the parameters are to stay (penalties take what "
        f"their strength makes zero). *seconds* are those beyond the first training, exports and proofs included. "
        f"{environment_fingerprint().cpu}, threads: {arguments.threads}, torch {torch.__version__}."
    )


if __name__ == "__main__":
    main()
