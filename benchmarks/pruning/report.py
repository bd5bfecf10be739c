"""The side-by-side table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from environments import Peer
from measured import BATCHES
from measuring import Row
from sardonyx.runtime import environment_fingerprint
from tables import NOTHING, accuracy_cell, machine, markdown, number, speed_cells

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
    return markdown(_HEAD, [_cells(row) for row in rows])


def describe(tools: Sequence[Peer], samples: int, tested: int, threads: int) -> list[str]:
    """What all tools were given, what it was measured on, and how to read the table; a paragraph each.

    Args:
        tools: The peers.
        samples: Calibration images.
        tested: Test images.
        threads: Threads inside an operator.
    """
    ours = environment_fingerprint().versions["sardonyx"]
    peers = [f"{peer.name} {peer.version}" for peer in tools]
    versions = ", ".join([f"sardonyx {ours}", *peers])
    given = (
        f"Printed by `benchmarks/pruning/run.py`: {versions}, on the same weights and the same {samples:,} training "
        f"images of Fashion-MNIST; accuracy on {tested:,} test images. Nothing is trained after a cut."
    )
    return [given, machine(threads, "uncut"), _HOW]


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
    return (
        case.tool,
        case.setting or NOTHING,
        number(case.share, 2),
        number(row.params_ratio, 2),
        number(row.macs_ratio, 2),
        accuracy_cell(row.top1),
        *speed_cells(row.latency, BATCHES),
        number(case.seconds, 1),
        case.note,
    )
