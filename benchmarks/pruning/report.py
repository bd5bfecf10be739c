"""The side-by-side table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from measuring import BATCHES, Row
from peers import Peer
from sardonyx.runtime import LatencyRow, environment_fingerprint

_NOTHING = "–"

_HEAD = (
    "tool",
    "setting",
    "asked",
    "parameters",
    "MACs",
    "top-1 (95 %)",
    "batch 1",
    "batch 32",
    "seconds",
    "note",
)


_HOW = (
    "*asked* is the share of the parameters that should stay. The peers take a share of channels instead, which is "
    "searched for until what stays is nearest; *seconds* are those of the one call that made the file, with what it "
    "computes from samples, without that search. *statistics anew* takes the means and variances of batch "
    "normalisation from the calibration images after the cut, which Torch-Pruning leaves to its user; *round_to* keeps "
    "widths at multiples of what this machine's kernels like, as Sardonyx does by default."
)


def table(rows: Sequence[Row]) -> str:
    """The rows of one model as a Markdown table; ratios are against its first row."""
    lines = [_HEAD, ("---",) * len(_HEAD), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def describe(tools: Sequence[Peer], samples: int, tested: int, threads: int) -> list[str]:
    """What all tools were given, what it was measured on, and how to read the table; a paragraph each.

    Args:
        tools: The peers.
        samples: Calibration images.
        tested: Test images.
        threads: Threads inside an operator.
    """
    here = environment_fingerprint()
    peers = [f"{peer.name} {peer.version}" for peer in tools]
    versions = ", ".join([f"sardonyx {here.versions['sardonyx']}", *peers])
    given = (
        f"Printed by `benchmarks/pruning/run.py`: {versions}, on the same weights and the same {samples:,} training "
        f"images of Fashion-MNIST; accuracy on {tested:,} test images. Nothing is trained after a cut."
    )
    machine = (
        f"{here.cpu}, {here.cores} cores ({' '.join(here.flags)}), ONNX Runtime {here.versions['onnxruntime']}, "
        f"{threads} threads. Speed is the median of ratios against the uncut model within rounds in which every file "
        "is timed once, with its 95 % interval."
    )
    return [given, machine, _HOW]


def page(tables: Mapping[str, str], about: Sequence[str], picture: str) -> str:
    """The whole page.

    Args:
        tables: A table for each model.
        about: What :func:`describe` says.
        picture: The file of the picture, beside the page.
    """
    parts = ["# Pruning without training, side by side", *about]
    parts.append(f"![Accuracy against parameters and speed, for every tool and setting]({picture})")
    for name, rows in tables.items():
        parts += [f"## {name}", rows]
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    case = row.case
    speed = {r.batch: r for r in row.latency}
    return (
        case.tool,
        case.setting or _NOTHING,
        _NOTHING if case.share is None else f"{case.share:.2f}",
        _NOTHING if row.params_ratio is None else f"{row.params_ratio:.2f}",
        _NOTHING if row.macs_ratio is None else f"{row.macs_ratio:.2f}",
        _accuracy(row),
        *(_speed(speed[batch]) if batch in speed else _NOTHING for batch in BATCHES),
        _NOTHING if case.seconds is None else f"{case.seconds:.1f}",
        case.note,
    )


def _accuracy(row: Row) -> str:
    top1 = row.top1
    if top1 is None or top1.low is None or top1.high is None:
        return _NOTHING
    return f"{100 * top1.value:.2f} % ({100 * top1.low:.2f}..{100 * top1.high:.2f})"


def _speed(row: LatencyRow) -> str:
    if row.verdict == "baseline":
        return "1x"
    ends = f"{row.speed_low_ratio:.2f}..{row.speed_high_ratio:.2f}"
    return f"{row.speed_ratio:.2f}x ({ends}) {row.verdict}"
