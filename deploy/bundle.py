"""Filling the folder of a bundle: models, self-test, labels, clients, README, and last the manifest that seals them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal, cast

from pydantic import ValidationError

from ..core import ModelArtifact
from ..core.errors import ExpectationError, ModelError, UsageError
from ..core.files import write_atomic
from ..core.metrics import measure_graph
from ..core.tensors import Array, Feed, TensorSpec
from .activation_memory import peak_activation_bytes
from .bundle_files import file_entries
from .clients import clients_of
from .manifest import SCHEMA, Manifest, manifest_bytes, seal
from .manifest_parts import (
    MANIFEST,
    ElementType,
    LeftEntry,
    Measured,
    ModelEntry,
    OperatorsEntry,
    PlatformName,
    PreprocessingEntry,
    Provenance,
    SelfTest,
    TensorEntry,
    UsabilityEntry,
    Versions,
    element_type,
)
from .ort_format import OrtModel, convert_to_ort
from .ort_order import sort_type_table
from .platforms import Platform
from .readme import render_readme
from .self_test import write_self_test
from .tolerance import Allowance
from .usability import usability
from .wire_size import wire_size

MODEL, REFERENCE, LABELS, README = "model.onnx", "reference.onnx", "labels.txt", "README.md"
"""Names of files inside a bundle."""


@dataclass(frozen=True, kw_only=True)
class BundleContent:
    """All that a bundle is made of.

    Attributes:
        name: What the model is called.
        platform: What the bundle is for.
        model: The model, as the device's runtime takes it.
        reference: What it was made from, for the same runtime.
        inputs: Samples: an array for each input, all runs one after the other on axis 0.
        outputs: What the model makes of them, likewise.
        samples: How many samples there are.
        batch: Samples in one run.
        allowance: What the self-test lets pass.
        source_sha256: Of the model that was packaged.
        meanings: What inputs and outputs are, by name, for people.
        preprocessing: From a picture to an input.
        labels: Names of the classes, in the order of the scores.
        licence: SPDX expression of the model's licence.
        measured: What was measured.
        command: What was asked for.
        style: How the model in ORT format is optimised.
        runtime_files: Files of the runtime that go into the bundle, by their place in it.
    """

    name: str
    platform: Platform
    model: ModelArtifact
    reference: ModelArtifact | None = None
    inputs: Feed
    outputs: Feed
    samples: int
    batch: int
    allowance: Allowance
    source_sha256: str
    meanings: Mapping[str, str] = field(default_factory=dict)
    preprocessing: PreprocessingEntry | None = None
    labels: tuple[str, ...] = ()
    licence: str | None = None
    measured: Measured | None = None
    command: str = ""
    style: Literal["fixed", "runtime"] = "fixed"
    runtime_files: Mapping[str, bytes] = field(default_factory=dict)


def fill_bundle(folder: Path, content: BundleContent) -> Manifest:
    """Write a bundle into an empty folder.

    The same content gives the same bytes. Use :func:`~sardonyx.core.files.atomic_folder` around it.

    Args:
        folder: The folder.
        content: What goes into it.

    Returns:
        The manifest, as it was written.

    Raises:
        ExpectationError: An input or output is of a type that clients do not read, or the model does not go into ORT
            format.
        LimitError: The weights are too large for one file, or the samples for a device.
        StorageError: The disk is full.
    """
    try:
        return _fill(folder, content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"the manifest cannot hold {place}: {first['msg']}", remedy="give it a shorter name in the model"
        ) from None


def _fill(folder: Path, content: BundleContent) -> Manifest:
    models, ort = _write_models(folder, content)
    _write_files(folder, content)
    self_test = write_self_test(
        folder,
        content.inputs,
        content.outputs,
        batch=content.batch,
        samples=content.samples,
        tolerance=content.allowance.tolerance,
        labels_agree=content.allowance.labels_agree,
    )
    manifest = _manifest(folder, content, models, _operators(ort), self_test)
    write_atomic(folder / README, render_readme(manifest, content.platform, content.labels).encode("utf8"))
    sealed = seal(manifest.model_copy(update={"files": file_entries(folder)}))
    write_atomic(folder / MANIFEST, manifest_bytes(sealed))
    return sealed


def _manifest(
    folder: Path,
    content: BundleContent,
    models: tuple[ModelEntry, ...],
    operators: OperatorsEntry | None,
    self_test: SelfTest,
) -> Manifest:
    """What the bundle says of itself so far, its README and its seal aside."""
    return Manifest(
        schema=SCHEMA,
        name=content.name,
        platform=cast("PlatformName", content.platform.name),
        licence=content.licence,
        created_with=_versions(),
        model=models[0],
        others=models[1:],
        inputs=_tensors(content.model.inputs, content.inputs, content.meanings),
        outputs=_tensors(content.model.outputs, content.outputs, content.meanings),
        preprocessing=content.preprocessing,
        labels=LABELS if content.labels else None,
        operators=operators,
        self_test=self_test,
        measured=content.measured,
        usability=_usability(content),
        provenance=Provenance(source_sha256=content.source_sha256, command=content.command),
        files=file_entries(folder),
    )


def _write_models(folder: Path, content: BundleContent) -> tuple[tuple[ModelEntry, ...], OrtModel | None]:
    """Write every form of the model; the one that is shipped comes first."""
    shapes = {
        name: (len(a) * content.batch // content.samples, *a.shape[1:]) for name, a in content.inputs.items()
    }
    one = {name: (max(1, shape[0] // content.batch), *shape[1:]) for name, shape in shapes.items()}
    entries = [_write_model(folder, MODEL, "model", content.model, shapes, one)]
    ort = None
    if content.platform.ort_platform is not None:
        ort = convert_to_ort(
            content.model, folder, style=content.style, platform=content.platform.ort_platform
        )
        write_atomic(ort.file, sort_type_table(ort.file.read_bytes()))
        entries.append(_ort_entry(ort, entries[0]))
    if content.reference is not None:
        entries.append(_write_model(folder, REFERENCE, "reference", content.reference, shapes, one))
    return tuple(entries), ort


def _write_model(
    folder: Path,
    file: str,
    role: Literal["model", "reference"],
    model: ModelArtifact,
    shapes: Mapping[str, Sequence[int]],
    one: Mapping[str, Sequence[int]],
) -> ModelEntry:
    write_atomic(folder / file, model.content)
    graph = model.load()
    metrics = measure_graph(graph, one)
    size = wire_size(folder / file)
    return ModelEntry(
        file=file,
        role=role,
        format="onnx",
        sha256=model.sha256,
        bytes=size.bytes,
        gzip_bytes=size.gzip_bytes,
        opset=dict(sorted(graph.opset_imports.items())),
        ir_version=graph.ir_version,
        params=metrics.params,
        macs=metrics.macs,
        activation_bytes=_activation_bytes(model, shapes),
    )


def _activation_bytes(model: ModelArtifact, shapes: Mapping[str, Sequence[int]]) -> int | None:
    """The peak, or None where the sizes of values depend on data or contradict the names of dimensions."""
    try:
        return peak_activation_bytes(model, shapes)
    except (ExpectationError, ModelError, UsageError):
        return None


def _ort_entry(ort: OrtModel, model: ModelEntry) -> ModelEntry:
    """The same model in ORT format: what it computes is the same, only the file differs."""
    size, (entry,) = (
        wire_size(ort.file),
        [e for e in file_entries(ort.file.parent) if e.path == ort.file.name],
    )
    changed = {
        "file": ort.file.name,
        "role": "ort",
        "format": "ort",
        "style": ort.style,
        "sha256": entry.sha256,
        "bytes": size.bytes,
        "gzip_bytes": size.gzip_bytes,
    }
    return ModelEntry.model_validate({**model.model_dump(), **changed})


def _operators(ort: OrtModel | None) -> OperatorsEntry | None:
    if ort is None:
        return None
    required = {key: tuple(names) for key, names in sorted(ort.operators.required.items())}
    return OperatorsEntry(config=ort.config.name, required=required, types=tuple(ort.operators.types))


def _write_files(folder: Path, content: BundleContent) -> None:
    """Write labels, clients and the runtime."""
    files = {**clients_of(content.platform.clients), **content.runtime_files}
    if content.labels:
        files[LABELS] = ("\n".join(content.labels) + "\n").encode("utf8")
    for path, data in sorted(files.items()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / path, data)


def _tensors(
    specs: Sequence[TensorSpec], arrays: Mapping[str, Array], meanings: Mapping[str, str]
) -> tuple[TensorEntry, ...]:
    return tuple(
        TensorEntry(
            name=spec.name,
            type=_element_type(spec),
            shape=spec.shape or (),
            meaning=meanings.get(spec.name, ""),
            low=_extreme(arrays[spec.name], largest=False),
            high=_extreme(arrays[spec.name], largest=True),
        )
        for spec in specs
    )


def _element_type(spec: TensorSpec) -> ElementType:
    found = element_type(spec.dtype.name)
    if found is None:
        raise ExpectationError(
            f"{spec} is of a type that clients do not read",
            remedy="convert it to a plain number in the model",
        )
    return found


def _extreme(array: Array, *, largest: bool) -> float:
    """The least or largest value; 0 of an empty array."""
    return float(array.max() if largest else array.min()) if array.size else 0.0


def _usability(content: BundleContent) -> tuple[UsabilityEntry, ...]:
    """What each provider of a mobile platform would take."""
    return tuple(
        UsabilityEntry(
            provider=found.provider,
            nodes=found.nodes,
            taken=found.taken,
            partitions=found.partitions,
            left=tuple(LeftEntry(node=n.node, op=n.op, reason=n.reason) for n in found.left),
        )
        for found in usability(content.model)
        if found.provider.lower().startswith(content.platform.providers)
    )


def _versions() -> Versions:
    """Versions of what makes the bundle; the GPU build of ONNX Runtime is the same code under another name."""
    import onnxruntime

    return Versions(
        sardonyx=metadata.version("sardonyx"),
        onnxruntime=onnxruntime.__version__,
        onnx=metadata.version("onnx"),
    )
