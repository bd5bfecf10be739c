"""``sardonyx optimize``: the fastest model that an accuracy budget allows."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import DocumentedError
from .flags import DATA_HELP, METRIC_NAMES, Exclude, Flags, Preprocess, Root, Target, Threads
from .text import parse_duration, parse_size

Model = Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to fill.")]
Calib = Annotated[str, typer.Option(metavar="DATA", help=f"Samples to cut and calibrate with. {DATA_HELP}")]
Evaluation = Annotated[
    str, typer.Option("--eval", metavar="DATA", help="Other samples, that the metric is measured on.")
]
Metric = Annotated[str, typer.Option(metavar="M", help=f"{METRIC_NAMES}, or file.py:function.")]
MaxDrop = Annotated[float, typer.Option(min=0, metavar="D", help="How much of the metric may be lost.")]
MinSpeedup = Annotated[
    float | None, typer.Option(min=0, metavar="S", help="How many times faster the result must be.")
]
MaxBytes = Annotated[str | None, typer.Option(metavar="SIZE", help="Largest file, such as 500kB.")]
Batch = Annotated[int, typer.Option(min=1, metavar="N", help="Batch size that is timed.")]
Provider = Annotated[str, typer.Option("--ep", metavar="EP", help="Execution provider that is timed.")]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time for the whole search, such as 10m; what is left of it is spent on healing (with torch) and refining.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where several processes share the search, as optuna knows it: sqlite:///search.db.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an earlier search, or join one.")]
Approximate = Annotated[
    bool | None,
    typer.Option(
        "--approximate/--exact",
        help="Only cuts over which a LayerNormalization or a mean runs, or none of them; both are tried by default.",
    ),
]


def optimize(
    flags: Flags,
    model: Model,
    output: Output,
    calib: Calib,
    evaluation: Evaluation,
    max_drop: MaxDrop,
    metric: Metric = "top1",
    min_speedup: MinSpeedup = None,
    max_bytes: MaxBytes = None,
    target: Target = "auto",
    batch: Batch = 1,
    provider: Provider = "cpu",
    time: Time = None,
    storage: Storage = None,
    resume: Resume = False,
    approximate: Approximate = None,
    exclude: Exclude = None,
    root: Root = None,
    preprocess: Preprocess = None,
    threads: Threads = 0,
) -> None:
    """Find the fastest model that an accuracy budget allows.

    Searches widths, repair, precision and what stays in float together. The winner is DIR/model.onnx; without one that is
    faster and inside the budget the exit code is 1, and DIR/report.html has the reasons.
    """
    from ..pipeline import OptimizeOptions, open_calibration, open_evaluation

    options = OptimizeOptions(
        max_drop=max_drop,
        min_speedup=min_speedup,
        max_bytes=None if max_bytes is None else parse_size(max_bytes),
        metric=metric,
        batch=batch,
        threads=threads,
        provider=provider,
        seconds=None if time is None else parse_duration(time),
        approximate=approximate,
        exclude=tuple(exclude or ()),
        seed=flags.seed_or_zero,
    )
    data = open_calibration(calib, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    judged = open_evaluation(evaluation, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    assert data is not None
    words = {"target": target, "storage": storage, "resume": resume}
    _search(flags, model, data, judged, output, options=options, **words)


def _search(flags: Flags, model: Path, *given: Any, **words: Any) -> None:
    """Search, and show what was found; what was not is shown with the error."""
    from ..pipeline import NothingGainedError, open_model, optimize, plain
    from .show_optimize import show_optimize

    command = shlex.join(["sardonyx", *sys.argv[1:]])
    monitor = flags.console
    try:
        result = optimize(
            open_model(model), *given, force=flags.force, monitor=monitor, command=command, **words
        )
    except NothingGainedError as unmet:
        raise DocumentedError(unmet, {"verb": "optimize", **plain(unmet.summary)}) from unmet
    show_optimize(monitor, result)
    monitor.document({"verb": "optimize", "output": str(result.folder), **plain(result.summary())})
