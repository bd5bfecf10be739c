"""``sardonyx heal``: an ``.onnx`` file learns to answer as the one that it was made from."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UsageError
from .flags import DATA_HELP, Exclude, Flags, Preprocess, Root, Target

if TYPE_CHECKING:
    from ..calib_data import CalibrationData
    from ..core import ModelArtifact
    from ..passes.quantization import QuantizeOptions
    from ..pipeline import HealedModel

Model = Annotated[Path, typer.Argument(help="The .onnx file to heal.", metavar="MODEL")]
Teacher = Annotated[Path, typer.Option(metavar="MODEL", help="The .onnx file that it was made from.")]
Data = Annotated[str, typer.Option(metavar="DATA", help=DATA_HELP)]
Output = Annotated[Path, typer.Option("-o", "--output", help="The .onnx file to write.")]
Evaluation = Annotated[
    str | None, typer.Option("--eval", metavar="DATA", help="Other samples that the figures are of.")
]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Passes over the samples.")]
Limit = Annotated[int | None, typer.Option(min=2, metavar="N", help="Most samples to learn from.")]
Batch = Annotated[int | None, typer.Option(min=1, metavar="N", help="Samples of one step.")]
Rate = Annotated[float | None, typer.Option(min=0, metavar="R", help="The largest learning rate.")]
Optimizer = Annotated[str | None, typer.Option(metavar="NAME", help="adamw or sgd.")]
Loss = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="How answers are compared: auto, kl, mse or cosine."),
]
Temperature = Annotated[
    float | None, typer.Option(metavar="T", help="Softens logits before kl compares them.")
]
LabelWeight = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="W", help="Share of the labels in the loss; 0 ignores them."),
]
Features = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Intermediate values that are matched too.")
]
Patience = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Epochs without a better one that end it; 0 never does."),
]
Qat = Annotated[
    bool, typer.Option("--qat", help="Train with the rounding of --target, and write the quantized model.")
]
WeightBits = Annotated[int | None, typer.Option(metavar="N", help="Bits of a weight with --qat: 8 or 4.")]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tool", metavar="NAME", help="What --qat tries before it trains, as in quantize; repeatable."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier try stopped.")]

_OPTIONS = {
    "epochs": "epochs",
    "batch_size": "batch",
    "learning_rate": "learning_rate",
    "optimizer": "optimizer",
    "loss": "loss",
    "temperature": "temperature",
    "label_weight": "label_weight",
    "features": "features",
    "patience": "patience",
}
"""The flag behind each option."""


def heal(
    flags: Flags,
    model: Model,
    teacher: Teacher,
    data: Data,
    output: Output,
    evaluation: Evaluation = None,
    epochs: Epochs = None,
    limit: Limit = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    optimizer: Optimizer = None,
    loss: Loss = None,
    temperature: Temperature = None,
    label_weight: LabelWeight = None,
    features: Features = None,
    patience: Patience = None,
    qat: Qat = False,
    target: Target = "auto",
    weight_bits: WeightBits = None,
    tools: Tools = None,
    exclude: Exclude = None,
    resume: Resume = False,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Train a cut model's own weights to imitate its original.

    No torch source is needed; labels are used where the data has them.
    """
    given = dict(locals())
    from ..calib_data.opening import places_read
    from ..core.files import check_output
    from ..pipeline import open_evaluation, open_model
    from ..pipeline.crowd import is_first
    from ..training.healing import HealOptions

    check_output(output, force=flags.force, inputs=[model, teacher, *places_read(data, evaluation)])
    seed = flags.seed_or_zero
    asked = {name: given[flag] for name, flag in _OPTIONS.items() if given[flag] is not None}
    words: dict[str, Any] = {
        "options": HealOptions(**asked, seed=seed),
        "evaluation": open_evaluation(evaluation, root=root, preprocess=preprocess, seed=seed),
        "limit": limit,
        "checkpoint": output.with_name(f"{output.stem}.heal.safetensors"),
        "resume": resume,
        "monitor": flags.console,
    }
    if qat:
        words |= {"target": target, "quantize": _rounding(weight_bits, tools, exclude, seed)}
    elif weight_bits or tools or exclude:
        raise UsageError(
            "--weight-bits, --tool and --exclude belong to --qat", remedy="add --qat, or leave them out"
        )
    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=seed)
    result = _train((open_model(model), open_model(teacher)), samples, words, qat=qat)
    if is_first():  # of several processes, one writes
        _deliver(flags, result, teacher, output, words["checkpoint"])


def _train(
    models: tuple[ModelArtifact, ModelArtifact], samples: CalibrationData, words: dict[str, Any], *, qat: bool
) -> HealedModel:
    from ..pipeline import heal as run_heal
    from ..pipeline import heal_quantized

    return heal_quantized(*models, samples, **words) if qat else run_heal(*models, samples, **words)


def _deliver(flags: Flags, result: HealedModel, teacher: Path, output: Path, checkpoint: Path) -> None:
    """Write the model, remove what a resumed run would have needed, and show what was done."""
    from ..core.files import remove_leftovers
    from ..pipeline import plain
    from .show_heal import show_heal

    result.save(output, force=flags.force)
    for left in (checkpoint, *checkpoint.parent.glob(f"{glob.escape(checkpoint.stem)}.*")):
        left.unlink(missing_ok=True)
    remove_leftovers(checkpoint.parent, checkpoint.with_suffix(""))  # begun beside them when a run was killed
    show_heal(flags.console, result)
    flags.console.say(f"wrote {output}; next: sardonyx compare {teacher} {output} --data DATA")
    flags.console.document({"verb": "heal", "output": str(output), **plain(result.summary())})


def _rounding(
    weight_bits: int | None, tools: list[str] | None, exclude: list[str] | None, seed: int
) -> QuantizeOptions:
    """How ``--qat`` quantizes; an unknown value is refused by the options themselves."""
    from ..passes.quantization import QuantizeOptions

    given: dict[str, Any] = {
        "weight_bits": weight_bits,
        "tools": tuple(tools or ()),
        "exclude": tuple(exclude or ()),
    }
    return QuantizeOptions(**{k: v for k, v in given.items() if v}, seed=seed)
