"""``sardonyx prune``: neurons cut out of an ``.onnx`` file, with the masked-original proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core.errors import UsageError
from .flags import DATA_HELP, Exclude, Flags, Preprocess, Root, Target, Threads

if TYPE_CHECKING:
    from ..pipeline import Pruned

Model = Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="The .onnx file to write.")]
Calib = Annotated[str | None, typer.Option(metavar="DATA", help=DATA_HELP)]
Params = Annotated[float | None, typer.Option(metavar="R", help="Share of the parameters that stays.")]
Macs = Annotated[float | None, typer.Option(metavar="R", help="Share of the MACs that stays.")]
Bytes = Annotated[float | None, typer.Option(metavar="R", help="Share of the stored bytes that stays.")]
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
Scope = Annotated[
    Literal["global", "local", "isomorphic"],
    typer.Option(
        metavar="NAME",
        help="global: groups compete; local: all are cut alike; isomorphic: groups of one kind compete.",
    ),
]
Align = Annotated[str, typer.Option(metavar="N", help="Widths in multiples of N; auto asks the target.")]
Granularity = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="structured, unstructured, n:m such as 2:4, or block:RxC such as block:4x1."
    ),
]
Compensate = Annotated[
    bool, typer.Option("--compensate/--no-compensate", help="Repair what is left by regression.")
]
Approximate = Annotated[
    bool, typer.Option("--approximate", help="Cut also where a LayerNormalization or a mean runs.")
]
MinWidth = Annotated[int, typer.Option(min=1, metavar="N", help="Fewest neurons that a group keeps.")]
Steps = Annotated[
    int, typer.Option(min=1, max=1000, metavar="N", help="Rounds of collecting, cutting and repairing.")
]
MaxError = Annotated[
    float | None,
    typer.Option(
        metavar="E",
        help="Stop before the outputs on held-out samples move by more than this share of their variance.",
    ),
]
Explain = Annotated[bool, typer.Option("--explain", help="Print the plan, cut nothing and write no model.")]
Plan = Annotated[Path | None, typer.Option(metavar="FILE", help="Cut exactly what this plan says.")]
SavePlan = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan as JSON, for --plan.")]
Batch = Annotated[int, typer.Option(min=1, metavar="N", help="Batch size that --latency is timed at.")]


def prune(
    flags: Flags,
    model: Model,
    output: Output = None,
    calib: Calib = None,
    params: Params = None,
    macs: Macs = None,
    bytes: Bytes = None,
    latency: Latency = None,
    ratio: Ratio = None,
    plan: Plan = None,
    criterion: Criterion = "second-order",
    scope: Scope = "global",
    align: Align = "auto",
    granularity: Granularity = "structured",
    compensate: Compensate = True,
    approximate: Approximate = False,
    exclude: Exclude = None,
    min_width: MinWidth = 1,
    steps: Steps = 6,
    max_error: MaxError = None,
    target: Target = "auto",
    explain: Explain = False,
    save_plan: SavePlan = None,
    root: Root = None,
    preprocess: Preprocess = None,
    batch: Batch = 1,
    threads: Threads = 0,
) -> None:
    """Cut the neurons that a model does not need."""
    _check_places(flags, model, calib, output, plan, save_plan, explain=explain)
    from ..pipeline import open_calibration, open_model, read_plan
    from ..pipeline import prune as run_prune

    planned = None if plan is None else read_plan(plan)
    result = run_prune(
        open_model(model),
        open_calibration(calib, root=root, preprocess=preprocess, seed=flags.seed_or_zero),
        params=params,
        macs=macs,
        bytes=bytes,
        latency=latency,
        ratio=ratio,
        plan=planned,
        criterion=criterion,
        scope=scope,
        align=_alignment(align),
        granularity=granularity,
        compensate=compensate,
        approximate=approximate,
        exclude=exclude or (),
        min_width=min_width,
        steps=steps,
        max_error=max_error,
        target=target,
        plan_only=explain,
        seed=flags.seed_or_zero,
        batch=batch,
        threads=threads,
        monitor=flags.console,
    )
    _finish(flags, model, result, None if explain else output, save_plan, explain=explain)


def _check_places(
    flags: Flags,
    model: Path,
    calib: str | None,
    output: Path | None,
    plan: Path | None,
    save_plan: Path | None,
    *,
    explain: bool,
) -> None:
    """Refuse what could not be written, before the work starts."""
    from ..calib_data.opening import places_read
    from ..core.files import check_output

    if output is None and not explain:
        raise UsageError("no output is named", remedy="add -o FILE, or --explain to see the plan only")
    inputs = [model, *([] if plan is None else [plan]), *places_read(calib)]
    for path in (None if explain else output, save_plan):
        if path is not None:
            check_output(path, force=flags.force, inputs=inputs)
    if output is not None and save_plan is not None and output.absolute() == save_plan.absolute():
        raise UsageError(
            "the model and the plan cannot be one file", remedy="name another file for --save-plan"
        )


def _finish(
    flags: Flags, model: Path, result: Pruned, output: Path | None, save_plan: Path | None, *, explain: bool
) -> None:
    """Write what was asked for, and say what was done."""
    from ..pipeline import plain, write_plan
    from .show import show_prune

    if output is not None:
        result.save(output, force=flags.force)
    if save_plan is not None and result.report.cuts is not None:
        write_plan(result.report.cuts, save_plan, force=flags.force)
    show_prune(flags.console, result, explain=explain)
    if save_plan is not None:
        flags.console.say(
            f"wrote the plan {save_plan}; next: sardonyx prune {model} --plan {save_plan} -o FILE"
        )
    if output is None:
        flags.console.say("no model was written: --explain shows the plan only")
    else:
        flags.console.say(f"wrote {output}; next: sardonyx compare {model} {output} --data DATA")
    place = None if output is None else str(output)
    flags.console.document({"verb": "prune", "output": place, **plain(result.summary())})


def _alignment(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--align takes a number above 0 or auto, not {text!r}", remedy="try --align auto")
    return int(text)
