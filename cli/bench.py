"""``sardonyx bench``: interleaved latency, with spread and placement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import DATA_HELP, Flags, Preprocess, Root, Threads


def bench(
    flags: Flags,
    models: Annotated[
        list[Path], typer.Argument(help="The .onnx files; the first is the reference.", metavar="MODEL…")
    ],
    provider: Annotated[
        list[str] | None, typer.Option("--ep", metavar="EP", help="Execution provider. Repeatable.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="A batch size. Repeatable.")] = None,
    threads: Threads = 0,
    data: Annotated[str | None, typer.Option(metavar="DATA", help=f"{DATA_HELP}; random without it.")] = None,
    allow_fallback: Annotated[
        bool, typer.Option("--allow-fallback", help="Accept nodes that the provider hands to the CPU.")
    ] = False,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Time models in turns, with spread and placement.

    A difference inside the noise is not called a win.
    """
    from ..pipeline import bench as run_bench
    from ..pipeline import open_evaluation, plain
    from .show import show_bench

    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    results = run_bench(
        models,
        samples,
        providers=provider or ("cpu",),
        batches=batch or (1, 32),
        threads=threads,
        allow_fallback=allow_fallback,
        seed=flags.seed_or_zero,
        monitor=flags.console,
    )
    show_bench(flags.console, results)
    flags.console.document({"verb": "bench", "providers": plain(results)})
