"""``sardonyx profile``: where the time of a model goes, node by node, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import DATA_HELP, AllowFallback, Flags, Libraries, Preprocess, Root, Threads


def profile(
    flags: Flags,
    model: Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")],
    other: Annotated[
        Path | None,
        typer.Argument(
            help="What became of it, such as its quantized self.", metavar="OTHER", show_default=False
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="DATA", help=f"{DATA_HELP}; random without it.")] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Samples in a run.")] = 1,
    threads: Threads = 0,
    provider: Annotated[str, typer.Option("--ep", metavar="EP", help="Execution provider.")] = "cpu",
    top: Annotated[
        int, typer.Option(metavar="N", min=1, help="Show this many nodes, the slowest first.")
    ] = 20,
    rounds: Annotated[int, typer.Option(metavar="N", min=5, help="Runs of each model.")] = 30,
    allow_fallback: AllowFallback = False,
    libraries: Libraries = None,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Time every node of a model, and what a second one gains.

    Against the work that each node does; with two models also which nodes did not gain from integers.
    """
    from ..pipeline import open_evaluation, plain, register_libraries
    from ..pipeline import profile as run_profile
    from .show_profile import show_profile

    register_libraries(libraries or ())
    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    report = run_profile(
        [model] if other is None else [model, other],
        samples,
        batch=batch,
        threads=threads,
        rounds=rounds,
        provider=provider,
        allow_fallback=allow_fallback,
        seed=flags.seed_or_zero,
        monitor=flags.console,
    )
    show_profile(flags.console, report, top)
    not_helped = [change.node for change in report.change.not_helped] if report.change else None
    flags.console.document({"verb": "profile", **plain(report), "not_helped": not_helped})
