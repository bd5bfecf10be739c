"""The parts of ``manifest.json``: models, inputs and outputs, the self-test, what was measured, files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..core.limits import current_limits

MANIFEST = "manifest.json"
"""Name of the file inside a bundle."""


PlatformName = Literal["linux", "android", "ios", "web"]

ElementType = Literal[
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
]
"""Element types that every client can read from raw bytes, by numpy's names; ``bool`` is one byte each."""

ITEM_BYTES: Mapping[str, int] = {
    name: 1 if name == "bool" else int(re.sub(r"\D", "", name)) // 8
    for name in ElementType.__args__  # type: ignore[attr-defined]
}
"""Bytes of one element of each type."""


def element_type(name: str) -> ElementType | None:
    """A numpy type that clients read, by its name; None for any other."""
    return cast("ElementType", name) if name in ITEM_BYTES else None


_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}){0,7}")
_LARGEST = 1 << 53
"""No whole number is larger: JavaScript reads this file too."""


def _check_path(path: str) -> str:
    """Plain names below the bundle only: no ``..``, no root, no drive, no hidden file, nothing that a shell would read."""
    if not _PATH.fullmatch(path) or path.lower() == MANIFEST:
        raise ValueError("not a plain path inside the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_check_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Positive = Annotated[int, Field(ge=1, le=_LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(max_length=1000)]
Text = Annotated[str, Field(max_length=10_000)]
Dims = Annotated[tuple[Count, ...], Field(max_length=32)]


class Part(BaseModel):
    """A part of a manifest: unknown keys, wrong types, NaN and infinities are refused; nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Versions(Part):
    """What made the bundle."""

    sardonyx: Name
    onnxruntime: Name
    onnx: Name


class ModelEntry(Part):
    """One model file.

    Attributes:
        file: Its place in the bundle.
        role: ``model`` is what is shipped, ``ort`` the same in ORT format, ``reference`` what it was made from.
        format: How it is stored.
        style: How it was optimised, in ORT format: ``fixed`` for one kind of CPU, or at ``runtime``.
        sha256: Of the file.
        bytes: Of the file.
        gzip_bytes: Of the file after ``gzip -9``, as it goes over the wire.
        opset: Version of each operator set; the key of ONNX's own is empty.
        ir_version: Version of the format.
        params: Elements of its weights.
        macs: Multiply-accumulates of one sample; None where a shape is unknown.
        activation_bytes: Most bytes of activations that live at once for one batch; None where a shape is unknown.
    """

    file: BundlePath
    role: Literal["model", "ort", "reference"]
    format: Literal["onnx", "ort"]
    style: Literal["fixed", "runtime"] | None = None
    sha256: Sha256
    bytes: Count
    gzip_bytes: Count
    opset: dict[Name, Count]
    ir_version: Count
    params: Count
    macs: Count | None
    activation_bytes: Count | None


class TensorEntry(Part):
    """An input or an output.

    Attributes:
        name: Its name in the model.
        type: Its element type.
        shape: A number for a fixed dimension, a name or None for a free one.
        meaning: What it is, for people.
        low: Least value seen in the samples.
        high: Largest value seen.
    """

    name: Name
    type: ElementType
    shape: Annotated[tuple[Count | Name | None, ...], Field(max_length=32)]
    meaning: Text
    low: float
    high: float


class PreprocessingEntry(Part):
    """From a picture to an input: pixels from 0 to 1, less the mean, over the deviation.

    Attributes:
        text: The whole of it in a sentence.
        mean: Subtracted, one number or one for each channel; None where it is not about pixels.
        std: Divided by, likewise.
        layout: Axes of the input.
        size: Height and width; None where each picture keeps its own.
        channels: Colours: 1 or 3.
    """

    text: Text
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    layout: Literal["NCHW", "NHWC"]
    size: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=2)] | None
    channels: Positive | None


class OperatorsEntry(Part):
    """The operators that the runtime of a device has to hold.

    Attributes:
        config: The configuration for a reduced build of ONNX Runtime.
        required: Operators of each operator set, as ``ai.onnx;17``.
        types: Element types that their kernels have to take.
    """

    config: BundlePath
    required: dict[Name, tuple[Name, ...]]
    types: tuple[Name, ...]


class StoredTensor(Part):
    """An array as raw little-endian bytes, row by row.

    Attributes:
        name: The input or output that it is for.
        type: Its element type.
        shape: Its shape, all runs one after the other on axis 0.
        file: Its place in the bundle.
    """

    name: Name
    type: ElementType
    shape: Annotated[Dims, Field(min_length=1)]
    file: BundlePath

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return math.prod(self.shape) * ITEM_BYTES[self.type]


class Tolerance(Part):
    """How far an output may be off: ``|got - expected| <= absolute + relative * |expected|``.

    Attributes:
        absolute: In the unit of the output.
        relative: A share of the expected value.
    """

    absolute: Amount
    relative: Amount


class SelfTest(Part):
    """Samples with what the model makes of them.

    Attributes:
        samples: How many.
        batch: Samples in one run; there are ``samples / batch`` runs, each of which takes its share of axis 0.
        inputs: What is fed.
        outputs: What comes out, within the tolerance.
        tolerance: How far a floating-point output may be off; integers must be equal.
        labels_agree: Share of samples of a classifier that must hold the tolerance, where the others have their largest
            score in the right place; 1 wants it of all.
    """

    samples: Positive
    batch: Positive
    inputs: Annotated[tuple[StoredTensor, ...], Field(min_length=1)]
    outputs: Annotated[tuple[StoredTensor, ...], Field(min_length=1)]
    tolerance: Tolerance
    labels_agree: Share

    @property
    def runs(self) -> int:
        """How often the model is run."""
        return self.samples // self.batch

    @model_validator(mode="after")
    def _check(self) -> SelfTest:
        """Refuse samples that do not divide into runs, and more bytes than a device holds."""
        if self.samples % self.batch:
            raise ValueError("batch does not divide samples")
        stored = (*self.inputs, *self.outputs)
        if any(tensor.shape[0] % self.runs for tensor in stored):
            raise ValueError("an array does not divide into runs")
        if sum(tensor.size_bytes for tensor in stored) > (most := current_limits().self_test_bytes):
            raise ValueError(f"the arrays are larger than {most} bytes")
        return self


class Measured(Part):
    """What was measured where the bundle was made, and not on the device.

    Attributes:
        metric: What accuracy was measured as; None where there were no labels.
        value: The figure.
        low: Lower end of its 95 % interval.
        high: Upper end.
        samples: How many samples it rests on.
        drop: How much worse than the reference that is; None without one.
        latency_ms: Median of one run, in milliseconds; None where it was not timed.
        latency_low_ms: Lower end of its 95 % interval.
        latency_high_ms: Upper end.
        batch: Samples in the run that was timed.
        threads: Threads inside an operator; 0 is ONNX Runtime's choice.
        provider: The execution provider.
        machine: The processor, and what of it decides which kernels run.
    """

    metric: Name | None
    value: float | None
    low: float | None
    high: float | None
    samples: Count
    drop: float | None
    latency_ms: Amount | None
    latency_low_ms: Amount | None
    latency_high_ms: Amount | None
    batch: Positive
    threads: Count
    provider: Name
    machine: Name


class LeftEntry(Part):
    """A node that a provider leaves to the CPU, and why."""

    node: Name
    op: Name
    reason: Text


class UsabilityEntry(Part):
    """What a provider of the device would take of the model.

    Attributes:
        provider: Its name.
        nodes: Nodes of the model.
        taken: Nodes that it takes.
        partitions: Pieces that these form; every further piece costs copies.
        left: The others.
    """

    provider: Name
    nodes: Count
    taken: Count
    partitions: Count
    left: tuple[LeftEntry, ...]


class Provenance(Part):
    """Where the bundle comes from; without a date, so that the same inputs give the same bytes.

    Attributes:
        source_sha256: Of the model that was packaged.
        command: What was asked for, without folders.
    """

    source_sha256: Sha256
    command: Text


class FileEntry(Part):
    """A file of the bundle."""

    path: BundlePath
    sha256: Sha256
    bytes: Count
