"""``sardonyx prune``: neurons cut out of an ``.onnx`` file, with the masked-original proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.errors import UsageError
from .flags import DATA_HELP, Exclude, Flags, Preprocess, Root, Target, Threads

Model = Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="The .onnx file to write.")]
Calib = Annotated[str | None, typer.Option(metavar="DATA", help=DATA_HELP)]
Params = Annotated[float | None, typer.Option(metavar="R", help="Share of the parameters that stays.")]
Macs = Annotated[float | None, typer.Option(metavar="R", help="Share of the MACs that stays.")]
Latency = Annotated[float | None, typer.Option(metavar="R", help="Share of the time that stays, measured.")]
Ratio = Annotated[float | None, typer.Option(metavar="R", help="Share of the neurons cut, in each group.")]
Criterion = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="second-order, output, magnitude, l1, activation, apoz, variance, wanda, similarity, random, or "
        "file.py:function.",
    ),
]
Scope = Annotated[str, typer.Option(metavar="NAME", help="global or local.")]
Align = Annotated[str, typer.Option(metavar="N", help="Widths in multiples of N; auto asks the target.")]
Granularity = Annotated[
    str, typer.Option(metavar="NAME", help="structured, unstructured, or n:m such as 2:4.")
]
Compensate = Annotated[
    bool, typer.Option("--compensate/--no-compensate", help="Repair what is left by regression.")
]
Approximate = Annotated[
    bool, typer.Option("--approximate", help="Cut also where a LayerNormalization or a mean runs.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Print the plan and write nothing.")]
Batch = Annotated[int, typer.Option(min=1, metavar="N", help="Batch size that --latency is timed at.")]


def prune(
    flags: Flags,
    model: Model,
    output: Output = None,
    calib: Calib = None,
    params: Params = None,
    macs: Macs = None,
    latency: Latency = None,
    ratio: Ratio = None,
    criterion: Criterion = "second-order",
    scope: Scope = "global",
    align: Align = "auto",
    granularity: Granularity = "structured",
    compensate: Compensate = True,
    approximate: Approximate = False,
    exclude: Exclude = None,
    target: Target = "auto",
    explain: Explain = False,
    root: Root = None,
    preprocess: Preprocess = None,
    batch: Batch = 1,
    threads: Threads = 0,
) -> None:
    """Cut the neurons that a model does not need."""
    from ..core.files import check_output
    from ..pipeline import open_calibration, open_model, plain
    from ..pipeline import prune as run_prune
    from .show import show_prune

    if output is None and not explain:
        raise UsageError("no output is named", remedy="add -o FILE, or --explain to see the plan only")
    if output is not None and not explain:
        check_output(output, force=flags.force, inputs=[model])
    original = open_model(model)
    data = open_calibration(calib, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    result = run_prune(
        original,
        data,
        params=params,
        macs=macs,
        latency=latency,
        ratio=ratio,
        criterion=criterion,
        scope=_scope(scope),
        align=_alignment(align),
        granularity=granularity,
        compensate=compensate,
        approximate=approximate,
        exclude=exclude or (),
        target=target,
        plan_only=explain,
        seed=flags.seed_or_zero,
        batch=batch,
        threads=threads,
        monitor=flags.console,
    )
    written = None if explain or output is None else result.save(output, force=flags.force)
    show_prune(flags.console, result, explain=explain)
    if written is None:
        flags.console.say("nothing was written: --explain shows the plan only")
    else:
        flags.console.say(f"wrote {output}; next: sardonyx compare {model} {output} --data DATA")
    place = None if written is None else str(output)
    flags.console.document({"verb": "prune", "output": place, **plain(result.summary())})


def _alignment(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--align takes a number above 0 or auto, not {text!r}", remedy="try --align auto")
    return int(text)


def _scope(text: str) -> Literal["global", "local"]:
    if text == "global":
        return "global"
    if text == "local":
        return "local"
    raise UsageError(f"unknown scope {text!r}", remedy="choose global or local")
