"""``sardonyx compare``: models side by side in accuracy, agreement, size and latency."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ExpectationError
from .console import DocumentedError
from .flags import DATA_HELP, METRIC_NAMES, AllowFallback, Flags, Libraries, Preprocess, Root, Threads

if TYPE_CHECKING:
    from ..runtime import DriftOptions


Models = Annotated[
    list[Path], typer.Argument(help="The .onnx files; the first is the reference.", metavar="MODEL…")
]
Metric = Annotated[str, typer.Option(metavar="M", help=f"{METRIC_NAMES}, sqnr or file.py:function.")]
Output = Annotated[
    str | None, typer.Option(metavar="NAME", help="The output to measure; the metric's choice without it.")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(metavar="D", help="Exit 1 if the last model is worse by more than D of the metric."),
]
MinSpeedup = Annotated[
    float | None,
    typer.Option(metavar="S", help="Exit 1 if the last model is not S times as fast."),
]
WithDrift = Annotated[
    bool, typer.Option("--drift", help="Show where each model drifts from the first, layer by layer.")
]
DriftDb = Annotated[
    float | None,
    typer.Option(
        "--drift-db", metavar="DB", help="As --drift; below this SQNR, not 20, a layer has diverged."
    ),
]
Changed = Annotated[int, typer.Option(min=0, metavar="N", help="List up to N samples whose answer changed.")]


def compare(
    flags: Flags,
    models: Models,
    data: Annotated[str, typer.Option(metavar="DATA", help=DATA_HELP)],
    metric: Metric = "top1",
    output: Output = None,
    provider: Annotated[str, typer.Option("--ep", metavar="EP", help="Execution provider.")] = "cpu",
    batch: Annotated[list[int] | None, typer.Option(min=1, help="A batch size to time. Repeatable.")] = None,
    threads: Threads = 0,
    max_drop: MaxDrop = None,
    min_speedup: MinSpeedup = None,
    drift: WithDrift = False,
    drift_db: DriftDb = None,
    changed: Changed = 0,
    allow_fallback: AllowFallback = False,
    libraries: Libraries = None,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Compare models in accuracy, size and latency.

    All on the same samples, and timed in turns; what a model loses is tested by pairing the samples.
    """
    from ..pipeline import check_expectations, check_promises, open_evaluation, plain, register_libraries
    from ..pipeline import compare as run_compare
    from .show import show_compare
    from .show_compare import show_changed, show_drift, show_drops

    check_promises(metric, max_drop=max_drop, min_speedup=min_speedup)
    register_libraries(libraries or ())
    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    result = run_compare(
        models,
        samples,
        metric=metric,
        provider=provider,
        batches=batch or (1, 32),
        threads=threads,
        output=output,
        drift=_drift_options(drift, drift_db, flags.seed_or_zero),
        changed=changed,
        allow_fallback=allow_fallback,
        seed=flags.seed_or_zero,
        monitor=flags.console,
    )
    show_compare(flags.console, result)
    show_drops(flags.console, result)
    for found in result.drift:
        show_drift(flags.console, found)
    for answers in result.changed:
        show_changed(flags.console, answers)
    document = {"verb": "compare", **plain(result)}
    try:
        check_expectations(result, max_drop=max_drop, min_speedup=min_speedup)
    except ExpectationError as error:
        raise DocumentedError(error, document) from error
    flags.console.document(document)


def _drift_options(wanted: bool, threshold_db: float | None, seed: int) -> bool | DriftOptions:
    from ..runtime import DriftOptions

    return wanted if threshold_db is None else DriftOptions(threshold_db, seed=seed)
