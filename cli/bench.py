"""``sardonyx bench``: interleaved latency, with spread, placement, and a gate against an earlier document."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ExpectationError, UsageError
from ..core.files import check_output, write_atomic
from .console import DocumentedError
from .flags import DATA_HELP, AllowFallback, Flags, Libraries, Preprocess, Root
from .show_bench import show_bench, show_gate
from .text import parse_share

if TYPE_CHECKING:
    from ..calib_data import CalibrationData
    from ..pipeline import BenchDocument, ModelPlacement
    from ..runtime import LatencyReport

Models = Annotated[
    list[Path], typer.Argument(help="The .onnx files; the first is the reference.", metavar="MODEL…")
]
Providers = Annotated[
    list[str] | None, typer.Option("--ep", metavar="EP", help="Execution provider. Repeatable.")
]
ProviderOptions = Annotated[
    list[str] | None,
    typer.Option("--ep-option", metavar="KEY=VALUE", help="An option for the provider. Repeatable."),
]
Batches = Annotated[list[int] | None, typer.Option(min=1, help="A batch size. Repeatable.")]
Sweep = Annotated[
    list[int] | None,
    typer.Option(
        "--threads", metavar="N", min=0, max=1024, help="Threads; 0 leaves it to ONNX Runtime. Repeatable."
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(
        min=5, max=100_000, help="Rounds, in each of which every model is timed once; 100 without it."
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0.001, help="Time for the rounds of each provider and number of threads; 60 without it."
    ),
]
Memory = Annotated[bool, typer.Option("--memory", help="Measure peak memory too, in a process of its own.")]
Cold = Annotated[bool, typer.Option("--cold", help="Empty the CPU's caches ahead of each timed run.")]
Csv = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write a line for each time; - is stdout.")
]
Baseline = Annotated[
    Path | None, typer.Option(metavar="JSON", help="What `bench --json` printed, to be held against.")
]
MaxRegression = Annotated[
    str | None,
    typer.Option(
        metavar="R", help="Exit 1 if a model is slower than in the baseline by more; 5% without it."
    ),
]


def bench(
    flags: Flags,
    models: Models,
    provider: Providers = None,
    provider_option: ProviderOptions = None,
    batch: Batches = None,
    threads: Sweep = None,
    rounds: Rounds = None,
    seconds: Seconds = None,
    memory: Memory = False,
    cold: Cold = False,
    data: Annotated[str | None, typer.Option(metavar="DATA", help=f"{DATA_HELP}; random without it.")] = None,
    allow_fallback: AllowFallback = False,
    libraries: Libraries = None,
    placement: Annotated[
        bool, typer.Option("--placement", help="Show which provider ran which node, and why; -v does so too.")
    ] = False,
    csv: Csv = None,
    baseline: Baseline = None,
    max_regression: MaxRegression = None,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Time models in turns, with spread and placement.

    A difference inside the noise is not called a win. With --baseline, times relative to a small workload of our
    own, timed along, are held against those of an earlier run.
    """
    from ..pipeline import bench as run_bench
    from ..pipeline import open_evaluation, register_libraries

    _check_csv(flags, csv, models)
    sweep: dict[str, Any] = {
        "providers": provider or ("cpu",),
        "batches": batch or (1, 32),
        "threads": threads or (0,),
    }
    gate = _open_baseline(baseline, max_regression, models, {**sweep, "cold": cold})
    register_libraries(libraries or ())
    samples = open_evaluation(data, root=root, preprocess=preprocess, seed=flags.seed_or_zero)
    common: dict[str, Any] = {
        "allow_fallback": allow_fallback,
        "provider_options": parse_options(provider_option or ()),
        "seed": flags.seed_or_zero,
    }
    more: dict[str, Any] = {"rounds": rounds, "seconds": seconds, "memory": memory, "cold": cold}
    results = run_bench(models, samples, **sweep, **common, **more, monitor=flags.console)
    show_bench(flags.console, results)
    _write_csv(flags, csv, results)
    wanted = placement or flags.console.verbose
    _finish(flags, results, _place(flags, models, samples, sweep, common) if wanted else (), gate)


def _place(
    flags: Flags, models: Sequence[Path], samples: CalibrationData | None, sweep: Any, common: Any
) -> tuple[ModelPlacement, ...]:
    """Show which provider runs which node, at the first batch size and number of threads."""
    from ..pipeline import placements
    from .show_placement import show_placements

    one = {"batch": sweep["batches"][0], "threads": sweep["threads"][0]}
    placed = placements(models, samples, providers=sweep["providers"], **one, **common)
    show_placements(flags.console, placed)
    return placed


def _finish(
    flags: Flags,
    results: Sequence[LatencyReport],
    placed: Sequence[ModelPlacement],
    baseline: tuple[BenchDocument, float] | None,
) -> None:
    """Hold times against the baseline, and print the document, whatever comes of that."""
    from ..pipeline import bench_document, check_gate, hold_to_baseline, plain

    if baseline is None:
        flags.console.document(plain(bench_document(results, placements=placed)))
        return
    gate = hold_to_baseline(baseline[0], results, baseline[1])
    show_gate(flags.console, gate)
    document = plain(bench_document(results, gate=gate, placements=placed))
    try:
        check_gate(gate)
    except ExpectationError as error:
        raise DocumentedError(error, document) from error
    flags.console.document(document)


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """Options of a provider by their keys.

    Raises:
        UsageError: One is not of the form ``KEY=VALUE``, or a key repeats.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"--ep-option {text}", remedy="write it like --ep-option device_id=0")
        if key in found:
            raise UsageError(f"--ep-option {key} is given twice", remedy="give each option once")
        found[key] = value
    return found


def _open_baseline(
    path: Path | None, max_regression: str | None, models: Sequence[Path], wanted: Mapping[str, Any]
) -> tuple[BenchDocument, float] | None:
    """The baseline, after a look whether it fits, and how much slower a model may be."""
    if path is None:
        if max_regression is not None:
            raise UsageError("--max-regression without --baseline", remedy="give what bench --json printed")
        return None
    from ..pipeline import check_baseline, read_bench
    from ..pipeline.measurement import name_models

    allowed = parse_share(max_regression or "5%")
    before = read_bench(path)
    check_baseline(before, list(name_models(models)), **wanted)
    return before, allowed


def _check_csv(flags: Flags, target: str | None, models: Sequence[Path]) -> None:
    if target == "-":
        if flags.console.json_wanted:
            raise UsageError("--csv - and --json both want stdout", remedy="write the CSV to a file")
        flags.console.is_stdout_taken = True
    elif target is not None:
        check_output(Path(target), force=flags.force, inputs=models)


def _write_csv(flags: Flags, target: str | None, results: Sequence[LatencyReport]) -> None:
    if target is None:
        return
    from ..pipeline import bench_csv

    content = bench_csv(results)
    if target == "-":
        sys.stdout.write(content.decode("utf8"))
        sys.stdout.flush()
    else:
        write_atomic(Path(target), content)
