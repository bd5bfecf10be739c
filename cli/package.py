"""``sardonyx package``: the bundle that a device team ships, for one platform or several."""

from __future__ import annotations

import inspect
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .flags import DATA_HELP, METRIC_NAMES, Flags, Preprocess, Root, Threads

Model = Annotated[Path, typer.Argument(help="The .onnx file, most often quantized.", metavar="MODEL")]
For = Annotated[
    list[str], typer.Option("--for", metavar="PLATFORM", help="linux, android, ios or web. Repeatable.")
]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="The folder to make; with several platforms, one in it for each.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(metavar="DATA", help=f"Samples of the self-test, made up without. {DATA_HELP}"),
]
Reference = Annotated[
    Path | None, typer.Option(metavar="FLOAT.onnx", help="What the model was made from, to ship beside it.")
]
Labels = Annotated[
    str | None, typer.Option(metavar="FILE|a,b,c", help="Names of the classes, in the order of the scores.")
]
Licence = Annotated[
    str | None, typer.Option(metavar="SPDX", help="Licence of the model, such as Apache-2.0.")
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="What the model is called.")]
Meaning = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=TEXT", help="What an input or an output is. Repeatable."),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N=1", help="Give a dimension its size, or an input its shape: image=1x3x224x224. Repeatable."
    ),
]
Style = Annotated[
    str,
    typer.Option(metavar="STYLE", help="ORT format optimised for one CPU (fixed), or at run time (runtime)."),
]
Batch = Annotated[int | None, typer.Option(min=1, metavar="N", help="Samples in a run of the self-test.")]
Samples = Annotated[int, typer.Option(min=1, metavar="N", help="Samples of the self-test.")]
Metric = Annotated[
    str | None,
    typer.Option(metavar="M", help=f"{METRIC_NAMES}, or file.py:function; top1 where there are labels."),
]
Evaluation = Annotated[
    str | None,
    typer.Option("--eval", metavar="DATA", help="Samples to measure accuracy on; those of --data without."),
]
Latency = Annotated[
    bool, typer.Option("--latency/--no-latency", help="Time the model on this machine, for the record.")
]
WebRuntime = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder of onnxruntime-web, which a bundle for the web holds."),
]


def package(
    flags: Flags,
    model: Model,
    platforms: For,
    output: Output,
    data: Data = None,
    reference: Reference = None,
    labels: Labels = None,
    licence: Licence = None,
    name: Name = None,
    meaning: Meaning = None,
    fix: Fix = None,
    style: Style = "fixed",
    batch: Batch = None,
    samples: Samples = 16,
    metric: Metric = None,
    evaluation: Evaluation = None,
    latency: Latency = True,
    web_runtime: WebRuntime = None,
    root: Root = None,
    preprocess: Preprocess = None,
    threads: Threads = 0,
) -> None:
    """Make the bundle that a device team ships.

    Model, manifest, self-test, client code and README for each platform, verified before the folder is put in place.
    """
    given = dict(locals())
    from ..calib_data import Preprocessing
    from ..calib_data.opening import places_read
    from ..core.files import check_output
    from ..pipeline import PackageOptions, open_evaluation, plain, read_labels
    from ..pipeline import package as run_package
    from .show_package import show_packaged

    check_output(output, force=flags.force, inputs=[model, *places_read(data, evaluation)], is_folder=True)
    options = PackageOptions(
        labels=() if labels is None else read_labels(labels),
        preprocessing=None if preprocess is None else Preprocessing.parse(preprocess),
        meanings=tuple(meaning or ()),
        fix=tuple(fix or ()),
        seed=flags.seed_or_zero,
        command=command_of(given, flags.seed),
        **{word: given[word] for word in _HANDED_ON},
    )
    open_samples = partial(open_evaluation, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    result = run_package(
        model,
        platforms,
        output,
        open_samples(data),
        options,
        reference=reference,
        evaluation=open_samples(evaluation),
        force=flags.force,
        monitor=flags.console,
    )
    show_packaged(flags.console, result)
    flags.console.document({"verb": "package", **plain(result.summary())})


_HANDED_ON = ("name", "licence", "style", "batch", "samples", "metric", "latency", "threads", "web_runtime")
"""Flags that the library takes under the same name, as they are."""

_SPELLED = {"platforms": "--for", "evaluation": "--eval"}
_DEFAULTS = {name: flag.default for name, flag in inspect.signature(package).parameters.items()}


def command_of(given: dict[str, Any], seed: int | None) -> str:
    """The command as the manifest tells it: what decides about the bundle, and of each path its last part only.

    Args:
        given: The arguments by name.
        seed: The seed, where one was given.
    """
    words = ["sardonyx", "package", given["model"].name]
    for name, value in given.items():
        if name in {"flags", "model", "output", "root"} or value in (None, _DEFAULTS.get(name)):
            continue
        flag = _SPELLED.get(name, f"--{name.replace('_', '-')}")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-"))
            continue
        for item in value if isinstance(value, list) else [value]:
            words += [flag, _without_folder(name, item)]
    return shlex.join(words if seed is None else [*words, "--seed", str(seed)])


def _without_folder(name: str, value: object) -> str:
    """A path without its folders, which are nobody's business; any other word as it is."""
    is_path = isinstance(value, Path) or name in {"data", "evaluation", "metric", "preprocess"}
    is_path = is_path or (name == "labels" and Path(str(value)).is_file())
    return Path(str(value)).name if is_path else str(value)
