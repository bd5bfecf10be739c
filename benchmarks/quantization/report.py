"""The side-by-side tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cases import Case
from duels import RIVALS, Duel, Found, overall
from environments import Peer
from measured import BATCHES, Measured
from tables import NOTHING, accuracy_cell, machine, markdown, number, speed_cells

_HEAD = (
    "tool",
    "setting",
    "top-1 (95 %)",
    "kB",
    "batch 1",
    "batch 32",
    "seconds",
    "call alone",
    "peak MB",
    "note",
)

_DUELS = (
    "model",
    "batch",
    "against",
    "their fastest",
    "fastest of Sardonyx",
    "speed ratio (95 %)",
    "verdict",
)

_HOW = (
    "Every call has a process to itself: *seconds* go from its start to the written file, *call alone* is without the "
    "start and the imports, and *peak MB* is the most memory that it held, imports included. Nothing is kept from one "
    "call to the next. onnxruntime at its best types goes through its own preparation first, as its documentation "
    "advises, and keeps weights to 7 bits where the CPU has no VNNI."
)

_HOW_DUELS = (
    "Of each model and batch size, the fastest file of Sardonyx and the fastest of theirs among those that lose at most "
    "a point, timed anew and against each other, since the fastest of many was also lucky where it was chosen. A mean "
    "is the geometric one over models and batch sizes; above 1 Sardonyx is faster."
)


def table(found: Found) -> str:
    """The cases of one model as a Markdown table; speed is against the first."""
    return markdown(_HEAD, [_cells(case, measured) for case, measured in found])


def duels_table(duels: Mapping[str, Sequence[Duel]]) -> str:
    """The fastest against the fastest, and a line with the mean for each rival; empty where there was no pair.

    Args:
        duels: Those of each model.
    """
    pairs = [(name, duel) for name, of_model in duels.items() for duel in of_model]
    means = []
    for against in RIVALS:
        chosen = [duel for _, duel in pairs if duel.against == against]
        if chosen:
            mean = overall(chosen)
            means.append(f"**Against {against}: {mean.ratio:.2f}x ({mean.low:.2f}..{mean.high:.2f})**")
    if not means:
        return ""
    return "\n\n".join([*means, markdown(_DUELS, [_duel(name, duel) for name, duel in pairs])])


def describe(tools: Sequence[Peer], samples: int, tested: int, threads: int) -> list[str]:
    """What all tools were given, what it was measured on, and how to read the table; a paragraph each.

    Args:
        tools: All tools.
        samples: Calibration images.
        tested: Test images.
        threads: Threads inside an operator.
    """
    versions = ", ".join(f"{tool.name} {tool.version}" for tool in tools)
    given = (
        f"Printed by `benchmarks/quantization/run.py`: {versions}, on the same files and the same {samples:,} training "
        f"images of Fashion-MNIST; accuracy on {tested:,} test images."
    )
    return [given, machine(threads, "float32"), _HOW]


def page(tables: Mapping[str, str], duels: str, about: Sequence[str]) -> str:
    """The whole page.

    Args:
        tables: A table for each model.
        duels: What :func:`duels_table` says.
        about: What :func:`describe` says.
    """
    parts = ["# Quantization after training, side by side", *about]
    for name, cells in tables.items():
        parts += [f"## {name}", cells]
    if duels:
        parts += ["## The fastest against the fastest", _HOW_DUELS, duels]
    return "\n\n".join(parts) + "\n"


def _cells(case: Case, measured: Measured | str) -> tuple[str, ...]:
    made = (
        number(case.seconds, 1),
        number(case.call_seconds, 1),
        number(case.peak_bytes and case.peak_bytes / 1e6),
    )
    start = (case.tool, case.setting or NOTHING)
    if isinstance(measured, str):
        return (*start, *(NOTHING,) * (2 + len(BATCHES)), *made, measured)
    return (
        *start,
        accuracy_cell(measured.top1),
        number(measured.model.size_bytes / 1e3),
        *speed_cells(measured.latency, BATCHES),
        *made,
        case.note,
    )


def _duel(name: str, duel: Duel) -> tuple[str, ...]:
    row = duel.latency
    return (
        name,
        str(duel.batch),
        duel.against,
        f"{duel.rival.tool}, {duel.rival.setting}",
        duel.mine.setting,
        f"{row.speed_ratio:.2f}x ({row.speed_low_ratio:.2f}..{row.speed_high_ratio:.2f})",
        row.verdict,
    )
