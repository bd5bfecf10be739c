"""From a model to what a device team ships: a bundle for each platform, verified before it is put in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..calib_data import CalibrationData, Preprocessing
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.files import atomic_folder, check_output
from ..deploy import (
    BundleContent,
    Manifest,
    Measured,
    Platform,
    VerifyReport,
    WebRuntime,
    as_document,
    check_report,
    fill_bundle,
    get_platform,
)
from ..deploy.manifest_parts import MANIFEST
from ..deploy.web_runtime import web_runtime
from .bundle_checks import verify_bundle
from .bundle_figures import FigureOptions, measure_bundle
from .bundle_words import (
    check_labels,
    check_licence,
    describe_preprocessing,
    meanings_of,
    parse_fix,
    parse_meanings,
)
from .device_model import fit_device, note_open_shapes
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model
from .self_test_samples import answer, take_samples


@dataclass(frozen=True, kw_only=True)
class PackageOptions:
    """What a bundle holds beside the model, and how it is made.

    Attributes:
        name: What the model is called; its file's name where None.
        labels: Names of the classes, in the order of the scores.
        licence: SPDX expression of the model's licence.
        meanings: What inputs and outputs are, as ``image=a photograph in RGB``.
        fix: Numbers for dimensions, as ``N=1``, and shapes for inputs, as ``image=1x3x224x224``.
        preprocessing: How a picture becomes an input; as the samples were made where None.
        style: Whether a model in ORT format is optimised for one kind of CPU, or at run time.
        batch: Samples in a run of the self-test and of the timing; what the model insists on, or 1, where None.
        samples: Samples of the self-test.
        metric: What accuracy is measured as; ``top1`` where the labels are classes, when None.
        latency: Whether the model is timed; without it the same inputs give the same bytes.
        threads: Threads of timing and evaluation; 0 leaves it to ONNX Runtime.
        web_runtime: The folder of onnxruntime-web that a bundle for the web takes its runtime from.
        seed: Seed of every choice.
        command: What was asked for, as the manifest tells.
    """

    name: str | None = None
    labels: tuple[str, ...] = ()
    licence: str | None = None
    meanings: tuple[str, ...] = ()
    fix: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    style: Literal["fixed", "runtime"] = "fixed"
    batch: int | None = None
    samples: int = 16
    metric: str | None = None
    latency: bool = True
    threads: int = 0
    web_runtime: Path | None = None
    seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        check_licence(self.licence)
        if self.style not in {"fixed", "runtime"}:
            raise UsageError(f"unknown style {self.style!r}", remedy="choose fixed or runtime")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"a batch of {self.batch}", remedy="give a batch of at least 1")


@dataclass(frozen=True)
class Bundle:
    """One bundle.

    Attributes:
        folder: Where it lies.
        manifest: What it says of itself.
        notes: What was changed for the platform, and what would run better otherwise.
        report: What came of verifying it.
    """

    folder: Path
    manifest: Manifest
    notes: tuple[str, ...]
    report: VerifyReport

    def summary(self) -> dict[str, Any]:
        """The bundle for JSON."""
        return {
            "folder": self.folder,
            "notes": self.notes,
            "checks": self.report.checks,
            "manifest": as_document(self.manifest),
        }


@dataclass(frozen=True)
class Packaged:
    """What packaging gives.

    Attributes:
        folder: The folder that was filled: the bundle, or one bundle for each platform.
        bundles: The bundles.
    """

    folder: Path
    bundles: tuple[Bundle, ...]

    def summary(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {"output": self.folder, "bundles": [bundle.summary() for bundle in self.bundles]}


def package(
    model: ModelLike,
    platforms: str | Sequence[str],
    output: str | Path,
    data: CalibrationData | None = None,
    options: PackageOptions | None = None,
    *,
    reference: ModelLike | None = None,
    evaluation: CalibrationData | None = None,
    force: bool = False,
    monitor: Monitor | None = None,
) -> Packaged:
    """Make the bundle that a device team needs, for one platform or several.

    Args:
        model: The model, most often quantized.
        platforms: ``linux``, ``android``, ``ios`` or ``web``, one or several.
        output: The folder to make: the bundle, or with several platforms a folder for each in it.
        data: Samples that the self-test is taken from; made up within the declared types where None.
        options: What else the bundle holds.
        reference: The float model that it was made from, shipped beside it and compared in accuracy.
        evaluation: Samples with labels to measure accuracy on; ``data``, where that has labels, when None.
        force: Whether an existing folder may be replaced.
        monitor: Is told how work goes on.

    Returns:
        The bundles, each verified.

    Raises:
        UsageError: A platform is unknown, the output exists or is no package that could be replaced, or the words do not fit the model.
        ModelError: The model cannot be accepted.
        DataError: The samples do not fit.
        ExpectationError: The model for the platform does not answer as the one that was given, has no counterpart in the
            platform's opset, or does not pass its own self-test.
    """
    names = [platforms] if isinstance(platforms, str) else list(platforms)
    aims = [get_platform(name) for name in names]
    if not aims or len(set(names)) < len(names):
        raise UsageError(
            f"platforms: {', '.join(names) or 'none'}", remedy="name at least one, and each once"
        )
    output = Path(output) if Path(output).name not in {"", ".."} else Path(output).resolve()
    _check_output(output, force=force)
    work = _Packaging(
        as_model(model, monitor),
        None if reference is None else as_model(reference),
        data,
        _judged(data) if evaluation is None else evaluation,
        options or PackageOptions(),
        monitor or Silent(),
    )
    places = [Path(aim.name if len(aims) > 1 else ".") for aim in aims]
    with atomic_folder(output, force=force) as aside:
        made = [work.make(aim, aside / place) for aim, place in zip(aims, places, strict=True)]
    bundles = [_moved(bundle, output / place) for bundle, place in zip(made, places, strict=True)]
    return Packaged(output, tuple(bundles))


def _check_output(output: Path, *, force: bool) -> None:
    """Refuse to replace a folder that is no earlier package, whatever was said.

    Raises:
        UsageError: It exists and ``force`` is false, or it holds something else.
    """
    check_output(output, force=force, is_folder=True)
    inside = list(output.iterdir()) if output.is_dir() else []
    is_package = (output / MANIFEST).is_file() or all((path / MANIFEST).is_file() for path in inside)
    if not is_package:
        raise UsageError(
            f"output {output} holds something that is no bundle",
            remedy="name another folder; it is not replaced",
        )


def _judged(data: CalibrationData | None) -> CalibrationData | None:
    """The samples, if they can be judged with."""
    return None if data is None or data.labels is None else data


def _moved(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle where it was put in the end."""
    return replace(bundle, folder=folder, report=replace(bundle.report, folder=folder))


@dataclass
class _Packaging:
    """One model on its way into bundles; what was measured of it is measured once."""

    model: ModelArtifact
    reference: ModelArtifact | None
    data: CalibrationData | None
    evaluation: CalibrationData | None
    options: PackageOptions
    monitor: Monitor
    measured: dict[str, Measured | None] = field(default_factory=dict)

    def make(self, platform: Platform, folder: Path) -> Bundle:
        """Fill one folder, and verify it."""
        self.monitor.note(f"packaging for {platform.name}")
        folder.mkdir(exist_ok=True)
        content, notes = self._content(platform)
        manifest = fill_bundle(folder, content)
        report = verify_bundle(folder)
        check_report(report)
        return Bundle(folder, manifest, notes, report)

    def _content(self, platform: Platform) -> tuple[BundleContent, tuple[str, ...]]:
        options = self.options
        runtime = web_runtime(options.web_runtime) if "web" in platform.clients else None
        fix = parse_fix(options.fix)
        fitted = fit_device(self.model, platform, fix)
        reference = self._reference(platform, fitted.model)
        samples = take_samples(
            fitted.model.inputs, self.data, samples=options.samples, batch=options.batch, seed=options.seed
        )
        answers = answer(fitted.model, self.model, samples)
        check_labels(options.labels, answers.outputs)
        content = BundleContent(
            name=options.name or Path(self.model.name).stem,
            platform=platform,
            model=fitted.model,
            reference=reference,
            inputs=answers.inputs,
            outputs=answers.outputs,
            samples=answers.samples.count,
            batch=answers.samples.batch,
            allowance=answers.allowance,
            source_sha256=self.model.sha256,
            meanings=self._meanings(fitted.model, samples.origin),
            preprocessing=describe_preprocessing(self.data, options.preprocessing),
            labels=options.labels,
            licence=options.licence,
            measured=self._measured(fitted.model, reference, samples.batch),
            command=options.command,
            style=options.style,
            runtime_files={} if runtime is None else runtime.files,
        )
        shapes = {name: array.shape for name, array in samples.runs[0].items()}
        told = note_open_shapes(fitted.model, platform, shapes)
        notes = [*fitted.notes, *([told] if told else []), *answers.notes, *_runtime_notes(platform, runtime)]
        return content, tuple(notes)

    def _reference(self, platform: Platform, model: ModelArtifact) -> ModelArtifact | None:
        """The reference for the same runtime; it takes the same inputs, since clients show both."""
        if self.reference is None:
            return None
        wanted = [(spec.name, spec.dtype) for spec in model.inputs]
        if [(spec.name, spec.dtype) for spec in self.reference.inputs] != wanted:
            raise UsageError(
                f"the reference {self.reference.name} takes other inputs than {self.model.name}",
                remedy="name the model that it was made from",
            )
        return fit_device(self.reference, platform, _fixed_inputs(model) if self.options.fix else {}).model

    def _meanings(self, model: ModelArtifact, origin: str) -> dict[str, str]:
        inputs, outputs = ([spec.name for spec in specs] for specs in (model.inputs, model.outputs))
        given = parse_meanings(self.options.meanings, [*inputs, *outputs])
        return meanings_of(given, inputs, outputs, origin, self.options.labels)

    def _measured(self, model: ModelArtifact, reference: ModelArtifact | None, batch: int) -> Measured | None:
        if model.sha256 not in self.measured:
            asked = FigureOptions(
                metric=self.options.metric,
                latency=self.options.latency,
                batch=batch,
                threads=self.options.threads,
                seed=self.options.seed,
            )
            self.measured[model.sha256] = measure_bundle(
                model, reference, self.evaluation, self.data, asked, self.monitor
            )
        return self.measured[model.sha256]


def _runtime_notes(platform: Platform, runtime: WebRuntime | None) -> tuple[str, ...]:
    """Whether the runtime in the bundle is another than the client was tested with."""
    if runtime is None or runtime.version == platform.runtime_version:
        return ()
    return (
        f"the bundle holds {platform.runtime} {runtime.version}; its page was tested with {platform.runtime_version}",
    )


def _fixed_inputs(model: ModelArtifact) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs that have no open dimension."""
    shapes = {spec.name: tuple(d for d in spec.shape or () if isinstance(d, int)) for spec in model.inputs}
    return {
        spec.name: shapes[spec.name]
        for spec in model.inputs
        if len(shapes[spec.name]) == len(spec.shape or ())
    }
