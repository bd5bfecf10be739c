"""``sardonyx quantize``: an ``.onnx`` file in integers, from calibration data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import DocumentedError
from .flags import DATA_HELP, METRIC_NAMES, Exclude, Flags, Preprocess, Root, Target, Threads
from .text import parse_size

if TYPE_CHECKING:
    from ..pipeline import Quantized
    from ..pipeline.quantization import QuantizeWords

Model = Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The .onnx file to write.")]
Calib = Annotated[str | None, typer.Option(metavar="DATA", help=DATA_HELP)]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Range of activations: minmax, moving-average, percentile, entropy, mse, or auto for the best of them.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="int8 (from samples), dynamic (int8), float16, or mixed float16 and float32."
    ),
]
Activations = Annotated[
    str | None,
    typer.Option(metavar="TYPE", help="uint8, int8, uint16 or int16; by default as the target likes."),
]
WeightBits = Annotated[
    int | None, typer.Option(metavar="N", help="8, or 4: half the bytes, for memory and not for speed.")
]
Textbook = Annotated[
    str | None,
    typer.Option(
        metavar="RANGE", help="Symmetric int8 as it is taught, in [-127, 127] (narrow) or [-128, 127] (full)."
    ),
]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tool", metavar="NAME", help="Try equalize, smooth, mse-weights, round or correct-bias; repeatable."
    ),
]
Rounding = Annotated[
    str | None, typer.Option(metavar="NAME", help="How --weight-only rounds: nearest, gptq or hqq.")
]
Symmetric = Annotated[
    bool | None,
    typer.Option(
        "--symmetric/--asymmetric", help="Zero-point in the middle, or free; by default as the target likes."
    ),
]
PerChannel = Annotated[
    bool | None,
    typer.Option("--per-channel/--per-tensor", help="One scale for each channel of a weight, or one."),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="D",
        help="Put the worst nodes back to 16 bits or float until at most D is lost.",
    ),
]
Evaluation = Annotated[str | None, typer.Option("--eval", metavar="DATA", help="Samples to judge with.")]
Metric = Annotated[str, typer.Option(metavar="M", help=f"{METRIC_NAMES} or file.py:function.")]
WeightOnly = Annotated[
    str | None, typer.Option(metavar="TYPE", help="int4 or int8: weights only, in blocks; needs no samples.")
]
Block = Annotated[
    int | None, typer.Option(min=16, metavar="N", help="Weights that share one scale of --weight-only.")
]
Measure = Annotated[
    bool, typer.Option("--measure", help="Quantize only what is faster than float on this machine.")
]
Diagnose = Annotated[
    bool, typer.Option("--diagnose", help="List what each node alone does to the outputs, worst first.")
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Cap on what calibration holds at once, such as 512MB or 2GB."),
]
Batch = Annotated[int, typer.Option(min=1, metavar="N", help="Batch size that --measure times.")]

_HANDED_ON = (
    "precision",
    "method",
    "activations",
    "weight_bits",
    "textbook",
    "symmetric",
    "per_channel",
    "max_drop",
    "metric",
    "diagnose",
    "measure",
    "batch",
    "weight_only",
    "block",
    "rounding",
    "threads",
)
"""Flags that the library takes under the same name, as they are."""


def quantize(
    flags: Flags,
    model: Model,
    output: Output,
    calib: Calib = None,
    target: Target = "auto",
    precision: Precision = None,
    method: Method = None,
    activations: Activations = None,
    weight_bits: WeightBits = None,
    textbook: Textbook = None,
    tools: Tools = None,
    symmetric: Symmetric = None,
    per_channel: PerChannel = None,
    max_drop: MaxDrop = None,
    evaluation: Evaluation = None,
    metric: Metric = "top1",
    diagnose: Diagnose = False,
    measure: Measure = False,
    batch: Batch = 1,
    weight_only: WeightOnly = None,
    block: Block = None,
    rounding: Rounding = None,
    memory: Memory = None,
    exclude: Exclude = None,
    root: Root = None,
    preprocess: Preprocess = None,
    threads: Threads = 0,
) -> None:
    """Quantize a model from calibration data.

    QDQ nodes with the integer types that suit the target; what stays in float has a reason.
    """
    given = dict(locals())
    from ..calib_data.opening import places_read
    from ..core.files import check_output
    from ..pipeline import UnmetBudgetError, open_calibration, open_evaluation, open_model
    from ..pipeline import quantize as run_quantize

    check_output(output, force=flags.force, inputs=[model, *places_read(calib, evaluation)])
    original = open_model(model)
    data = open_calibration(calib, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    judged = open_evaluation(evaluation, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    words: QuantizeWords = {
        "tools": tools or (),
        "exclude": exclude or (),
        "evaluation": judged,
        "memory": None if memory is None else parse_size(memory),
        "force": flags.force,
        "seed": flags.seed_or_zero,
        **{name: given[name] for name in _HANDED_ON},  # type: ignore[typeddict-item]
    }
    try:
        result = run_quantize(original, data, target=target, monitor=flags.console, **words)
    except UnmetBudgetError as unmet:
        document = _deliver(flags, model, output, unmet.best)
        raise DocumentedError(unmet, document) from unmet
    flags.console.document(_deliver(flags, model, output, result))


def _deliver(flags: Flags, model: Path, output: Path, result: Quantized) -> dict[str, Any]:
    """Write the model and show what it is; the document that says the same is returned."""
    from ..pipeline import plain
    from .show_quantize import show_quantize

    result.model.save(output, force=flags.force)
    show_quantize(flags.console, result)
    flags.console.say(f"wrote {output}; next: sardonyx compare {model} {output} --data DATA")
    return {"verb": "quantize", "output": str(output), **plain(result.summary())}
