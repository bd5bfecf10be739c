"""``sardonyx compare``: models side by side in accuracy, agreement, size and latency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ExpectationError
from .console import UnmetError
from .flags import DATA_HELP, Flags, Preprocess, Root, Threads


def compare(
    flags: Flags,
    models: Annotated[
        list[Path], typer.Argument(help="The .onnx files; the first is the reference.", metavar="MODEL…")
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help=DATA_HELP)],
    metric: Annotated[
        str, typer.Option(metavar="M", help="top1, cosine, sqnr or file.py:function.")
    ] = "top1",
    provider: Annotated[str, typer.Option("--ep", metavar="EP", help="Execution provider.")] = "cpu",
    batch: Annotated[list[int] | None, typer.Option(min=1, help="A batch size to time. Repeatable.")] = None,
    threads: Threads = 0,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="D", help="Exit 1 if the last model loses more than D."),
    ] = None,
    min_speedup: Annotated[
        float | None,
        typer.Option(min=0, metavar="S", help="Exit 1 if the last model is not S times as fast."),
    ] = None,
    allow_fallback: Annotated[
        bool, typer.Option("--allow-fallback", help="Accept nodes that the provider hands to the CPU.")
    ] = False,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Compare models in accuracy, size and latency.

    All on the same samples, and timed in turns.
    """
    from ..pipeline import check_expectations, open_evaluation, plain
    from ..pipeline import compare as run_compare
    from .show import show_compare

    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    result = run_compare(
        models,
        samples,
        metric=metric,
        provider=provider,
        batches=batch or (1, 32),
        threads=threads,
        allow_fallback=allow_fallback,
        seed=flags.seed_or_zero,
        monitor=flags.console,
    )
    show_compare(flags.console, result)
    document = {"verb": "compare", **plain(result)}
    try:
        check_expectations(result, max_drop=max_drop, min_speedup=min_speedup)
    except ExpectationError as error:
        raise UnmetError(error, document) from error
    flags.console.document(document)
