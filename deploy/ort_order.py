"""The same model, the same bytes in ORT format.

ONNX Runtime writes the table of types of its operators in the order of a hash table, which is another one in every
process. The table is the last thing that it writes, and a flatbuffer grows from its end to its beginning: all before the
model itself is written anew here, in sorted order, and the model stays as it is. A reader looks entries up by name.
"""

from __future__ import annotations

from typing import Any

from ..core.errors import ModelError
from .ort_file import load_tools

_LARGEST_ALIGNMENT = 64
_ROOM = 1 << 16


def sort_type_table(content: bytes) -> bytes:
    """Bring the table of types of a file in ORT format into sorted order.

    Args:
        content: The file, as ONNX Runtime of this machine has just written it.

    Returns:
        A file of the same model.

    Raises:
        ModelError: It is laid out in a way that is not known.
        MissingExtraError: ONNX Runtime is not installed.
    """
    _, schema = load_tools()
    session = schema.InferenceSession.InferenceSession.GetRootAs(bytearray(content), 0)
    resolver, model, version = session.KernelTypeStrResolver(), session.Model(), session.OrtVersion()
    if resolver is None or model is None or version is None:
        raise ModelError(
            "the ORT format file lacks its model or its table of types", remedy="convert the model again"
        )
    table = model._tab
    start = min(table.Pos, table.Pos - _vtable_distance(content, table.Pos))
    if not 0 < resolver._tab.Pos < start:
        raise ModelError(
            "the ORT format file is laid out in a way that is not known", remedy="use an older onnxruntime"
        )
    builder = _builder_with(content, start)
    entries = [resolver.OpKernelTypeStrArgs(i) for i in range(resolver.OpKernelTypeStrArgsLength())]
    made = _vector(builder, [_entry(builder, e) for e in sorted(entries, key=lambda e: bytes(e.OpId()))])
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, made, 0)
    types = builder.EndObject()
    stated = builder.CreateString(version.decode())
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, stated, 0)
    builder.PrependUOffsetTRelativeSlot(1, len(content) - table.Pos, 0)
    builder.PrependUOffsetTRelativeSlot(3, types, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"ORTM")
    return bytes(builder.Output())


def _vtable_distance(content: bytes, place: int) -> int:
    """How far ahead of a table its layout lies; negative where it lies behind."""
    return int.from_bytes(content[place : place + 4], "little", signed=True)


def _builder_with(content: bytes, start: int) -> Any:
    """A builder that has already written the end of a file, from ``start`` on."""
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(0)
    builder.Bytes = bytearray(_ROOM) + bytearray(content[start:])
    builder.head = _ROOM
    # Places are aligned from the end of a file, so its length is a multiple of every alignment in it.
    builder.minalign = min(_LARGEST_ALIGNMENT, len(content) & -len(content))
    return builder


def _entry(builder: Any, entry: Any) -> int:
    """One operator: its name, and for each type parameter the inputs and outputs that have it."""
    parameters = [entry.KernelTypeStrArgs(i) for i in range(entry.KernelTypeStrArgsLength())]
    ordered = sorted(parameters, key=lambda parameter: bytes(parameter.KernelTypeStr()))
    made = _vector(builder, [_parameter(builder, parameter) for parameter in ordered])
    name = builder.CreateString(entry.OpId().decode())
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(1, made, 0)
    return int(builder.EndObject())


def _parameter(builder: Any, parameter: Any) -> int:
    places = [parameter.Args(i) for i in range(parameter.ArgsLength())]
    offsets = []
    for place in places:
        builder.StartObject(2)
        builder.PrependUint32Slot(1, place.Index(), 0)
        builder.PrependInt8Slot(0, place.ArgType(), 0)
        offsets.append(builder.EndObject())
    made = _vector(builder, offsets)
    name = builder.CreateString(parameter.KernelTypeStr().decode())
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(1, made, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
