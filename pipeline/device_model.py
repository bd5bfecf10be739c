"""A model as the runtime of a device takes it: shapes fixed on request, versions lowered, integer types looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..core import ModelArtifact
from ..deploy import Platform, fix_shapes, lower, open_dims

_TARGETS: Mapping[str, str] = {"web": "web", "linux": "cpu-x86", "android": "cpu-arm64", "ios": "cpu-arm64"}
"""What ``sardonyx quantize --target`` is called for a platform's CPU."""


@dataclass(frozen=True)
class DeviceModel:
    """A model for one platform.

    Attributes:
        model: The model.
        notes: What was changed, and what would run better otherwise, in sentences.
    """

    model: ModelArtifact
    notes: tuple[str, ...]


def fit_device(
    model: ModelArtifact, platform: Platform, fix: Mapping[str, int | Sequence[int]] | None = None
) -> DeviceModel:
    """Make a model ready for a platform's runtime.

    Args:
        model: The model.
        platform: The platform.
        fix: Numbers for named dimensions, and shapes for inputs.

    Raises:
        UsageError: The model has no such dimension or input.
        ExpectationError: An operator has no counterpart in the runtime's opset.
    """
    notes: list[str] = []
    if fix:
        model = _fixed(model, fix)
    lowered, changes = lower(model, opset=platform.opset, ir_version=platform.ir_version)
    notes.extend(changes)
    if (note := _note_integers(lowered, platform)) is not None:
        notes.append(note)
    return DeviceModel(lowered, tuple(notes))


def _fixed(model: ModelArtifact, fix: Mapping[str, int | Sequence[int]]) -> ModelArtifact:
    """Fix shapes; a single number is that of a dimension, or where none is called so, of an input with one axis."""
    known = {d for spec in model.inputs for d in spec.shape or () if isinstance(d, str)}
    inputs = {spec.name for spec in model.inputs} - known
    dims = {name: size for name, size in fix.items() if isinstance(size, int) and name not in inputs}
    shapes = {
        name: (size,) if isinstance(size, int) else tuple(size)
        for name, size in fix.items()
        if name not in dims
    }
    return fix_shapes(model, dims, shapes)


def note_open_shapes(
    model: ModelArtifact, platform: Platform, shapes: Mapping[str, Sequence[int]]
) -> str | None:
    """What has to be said, and asked for, so that the accelerators of a platform take the model.

    Args:
        model: The model.
        platform: The platform.
        shapes: The shape of each input in one run of the samples.

    Returns:
        A note with the flags that fix the shapes to these; None where nothing has to be fixed.
    """
    left = open_dims(model)
    if not platform.fixed_shapes or not left:
        return None
    flags: dict[str, None] = {}
    for spec in model.inputs:
        sizes = shapes[spec.name]
        if spec.shape is None or None in spec.shape:
            flags[f"--fix {spec.name}={'x'.join(map(str, sizes))}"] = None
            continue
        pairs = zip(spec.shape, sizes, strict=True)
        flags |= {f"--fix {name}={size}": None for name, size in pairs if isinstance(name, str)}
    return (
        f"{platform.title} wants fixed shapes, and these are open: {', '.join(left)}; "
        f"its accelerators leave such a model to the CPU: {' '.join(flags)}"
    )


def _note_integers(model: ModelArtifact, platform: Platform) -> str | None:
    """Whether the platform's integer kernels would rather have another type of activations."""
    found = activation_types(model.load())
    wrong = sorted(found - {platform.activation_type, "uint16", "int16"})
    if not wrong:
        return None
    target = _TARGETS[platform.name]
    return (
        f"activations are {' and '.join(wrong)}, and the CPU kernels of {platform.title} are fastest with "
        f"{platform.activation_type}: sardonyx quantize FLOAT.onnx --calib DATA --target {target} -o int8.onnx"
    )


def activation_types(model: ir.Model) -> frozenset[str]:
    """The integer types that activations are quantized to; weights, which are stored, do not count."""
    found = set()
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None:
            if node.inputs[0].const_value is None:
                found.add(_quantized_type(node))
        elif node.op_type == "DynamicQuantizeLinear":
            found.add("uint8")
    return frozenset(found)


def _quantized_type(node: ir.Node) -> str:
    """The type that a QuantizeLinear makes: of its zero-point, of its attribute, or uint8."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if zero is not None and zero.dtype is not None:
        return zero.dtype.name.lower()
    stated = node.attributes.get_int("output_dtype", 0)
    return ir.DataType(stated).name.lower() if stated else "uint8"
