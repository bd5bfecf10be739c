"""What a bundle says of itself: ``manifest.json``, which anyone may have written or changed since.

The manifest names every other file of the bundle with its hash, and carries a hash of itself, its seal. Both speak of
damage and of changes on the way, and not of who made the bundle: whoever can write all of it can seal it too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ..core.errors import InputError
from ..core.plain_file import read_plain
from .manifest_parts import (
    MANIFEST,
    BundlePath,
    FileEntry,
    Measured,
    ModelEntry,
    Name,
    OperatorsEntry,
    Part,
    PlatformName,
    PreprocessingEntry,
    Provenance,
    SelfTest,
    TensorEntry,
    UsabilityEntry,
    Versions,
)

Schema = Literal["sardonyx.bundle/1"]

SCHEMA: Schema = "sardonyx.bundle/1"
"""The form of the document; a change that takes something away, or gives it another meaning, has another number."""

_REMEDY = "name a folder that `sardonyx package` made, or package the model again"


class Manifest(Part):
    """All that a bundle says of itself; the folder that holds it has no file that it does not name.

    Attributes:
        schema_: The form of the document.
        name: What the model is called.
        platform: What the bundle is for.
        licence: SPDX expression of the model's licence, as whoever packaged it stated it.
        created_with: Versions of what made it.
        model: The model.
        others: The same model in another form, and its reference.
        inputs: What must be fed.
        outputs: What comes out.
        preprocessing: From a picture to an input, where that was stated.
        labels: The file of class names, one a line.
        operators: What the device's runtime has to hold, where there is a model in ORT format.
        self_test: Samples and what the model makes of them.
        measured: Accuracy and latency, where they were measured.
        usability: What the device's providers would take.
        provenance: Where it comes from.
        files: Every file but this one, by path.
        sha256: The seal: of the canonical JSON of everything else here.
    """

    schema_: Schema = Field(alias="schema")
    name: Name
    platform: PlatformName
    licence: Name | None
    created_with: Versions
    model: ModelEntry
    others: tuple[ModelEntry, ...]
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    preprocessing: PreprocessingEntry | None
    labels: BundlePath | None
    operators: OperatorsEntry | None
    self_test: SelfTest
    measured: Measured | None
    usability: tuple[UsabilityEntry, ...]
    provenance: Provenance
    files: Annotated[tuple[FileEntry, ...], Field(max_length=10_000)]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        """Every model file."""
        return (self.model, *self.others)

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        """Refuse paths that repeat, files that are not listed, and sizes and hashes that contradict each other."""
        paths = [entry.path for entry in self.files]
        if paths != sorted(paths) or len({path.lower() for path in paths}) < len(paths):
            raise ValueError("files: not each once, sorted by path")
        known = {entry.path: entry for entry in self.files}
        named = [self.labels, self.operators.config if self.operators else None]
        stored = (*self.self_test.inputs, *self.self_test.outputs)
        for path in (*(n for n in named if n), *(m.file for m in self.models), *(t.file for t in stored)):
            if path not in known:
                raise ValueError(f"{path} is not among the files")
        if any((known[m.file].sha256, known[m.file].bytes) != (m.sha256, m.bytes) for m in self.models):
            raise ValueError("a model's size or hash is not that of its file")
        if any(known[tensor.file].bytes != tensor.size_bytes for tensor in stored):
            raise ValueError("an array of the self-test has another size than its file")
        return self


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one form in which a manifest is written: another byte is another manifest."""
    return (json.dumps(manifest.model_dump(by_alias=True, mode="json"), indent=2) + "\n").encode("ascii")


def seal_of(manifest: Manifest) -> str:
    """SHA-256 of everything in a manifest but its seal: of JSON with sorted keys, without blanks, in ASCII."""
    document = manifest.model_dump(by_alias=True, mode="json", exclude={"sha256"})
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def seal(manifest: Manifest) -> Manifest:
    """The manifest with its seal."""
    return manifest.model_copy(update={"sha256": seal_of(manifest)})


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of a bundle; whether its seal holds is another question.

    Args:
        folder: The bundle.

    Raises:
        InputError: It is missing, is no plain file or no JSON, or says what no manifest says; the error names the place.
    """
    return parse_manifest(read_content(Path(folder)))


def read_content(folder: Path) -> bytes:
    """The bytes of a bundle's manifest, if it is a plain file of reasonable length.

    Raises:
        InputError: It is not, or cannot be read.
    """
    path = folder / MANIFEST
    return read_plain(
        path, "manifest_bytes", what="a manifest", remedy=_where(folder), kind=InputError, follow=False
    )


def parse_manifest(content: bytes) -> Manifest:
    """Check the bytes of a manifest.

    Raises:
        InputError: They are no JSON, or say what no manifest says; the error names the place.
    """
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:200]
        text = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{MANIFEST}: {f'{place}: ' if place else ''}{text[:1].lower()}{text[1:]}", remedy=_REMEDY
        ) from None


def _where(folder: Path) -> str:
    """What to name instead of a folder without a manifest: the bundles in it, if there are any."""
    try:
        inside = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    except OSError:
        inside = []
    return f"name one of the bundles in it: {', '.join(inside[:8])}" if inside else _REMEDY


def as_document(manifest: Manifest) -> dict[str, Any]:
    """The manifest as plain data."""
    return manifest.model_dump(by_alias=True, mode="json")
