"""What two graphs answer, and where to compare it: logits in front of a Softmax, and values of the same name."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import onnx_ir as ir

from ...core.errors import UsageError
from .options import AnswerLoss
from .report import Answer, Comparison, Kind

Shape = tuple[int, ...]

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
_SQUASHING: dict[str, Kind] = {"Softmax": "logits", "LogSoftmax": "logits", "Sigmoid": "binary"}


def find_answers(
    student: ir.Model, teacher: ir.Model, shapes: Mapping[str, Shape], *, classes: int, loss: AnswerLoss
) -> tuple[Answer, ...]:
    """Where the outputs of two graphs are compared.

    Args:
        student: The graph that is trained.
        teacher: The graph it was made from.
        shapes: The shape of each of the teacher's outputs, for a batch.
        classes: Classes among the labels; 0 where there are none. An output with a row of at least as many numbers for each
            sample is then taken for logits, even without a Softmax.
        loss: How they are compared.

    Raises:
        UsageError: The graphs have other outputs, or none of floats.
    """
    names = [[v.name for v in model.graph.outputs] for model in (student, teacher)]
    if names[0] != names[1]:
        raise UsageError(
            f"the outputs are {', '.join(map(str, names[0]))}, the teacher's {', '.join(map(str, names[1]))}",
            remedy="give as teacher the model that this one was made from",
        )
    found = []
    for own, other in zip(student.graph.outputs, teacher.graph.outputs, strict=True):
        if other.dtype in _FLOATS:
            found.append(_answer(own, other, shapes[other.name or ""], classes, loss))
    if not found:
        raise UsageError(
            "no output of the graph is of floats", remedy="heal the part of it that gives scores"
        )
    return tuple(found)


def _answer(own: ir.Value, other: ir.Value, shape: Shape, classes: int, loss: AnswerLoss) -> Answer:
    name, first, second = other.name or "", own.producer(), other.producer()
    kind: Kind = "values"
    taps, axis = (own.name or "", name), -1
    if first is not None and second is not None and first.op_type == second.op_type:
        kind = _SQUASHING.get(second.op_type, "values")
        if kind != "values" and first.inputs[0] is not None and second.inputs[0] is not None:
            taps = (first.inputs[0].name or "", second.inputs[0].name or "")
            default = -1 if second.version is None or second.version >= 13 else 1
            axis = second.attributes.get_int("axis", default) if kind == "logits" else -1
    if kind == "values" and classes and len(shape) == 2 and shape[1] >= classes > 1:
        kind = "logits"
    by_kind: Comparison = "mse" if kind == "values" else "kl"
    chosen: Comparison = by_kind if loss == "auto" else loss
    if chosen == "kl" and kind == "values":
        raise UsageError(
            f"output {name!r} is no scores of classes, so kl cannot compare it",
            remedy="give --loss mse or cosine, or data with labels of classes",
        )
    return Answer(name, *taps, kind, axis, chosen)


def shared_names(student: ir.Model, teacher: ir.Model) -> tuple[str, ...]:
    """Values that nodes of both graphs hand on under the same name, in the teacher's order; a cut leaves names as they are."""
    known = {v.name for v in _handed_on(student)}
    return tuple(v.name or "" for v in _handed_on(teacher) if v.name in known)


def spaced_values(teacher: ir.Model, usable: Container[str], count: int) -> tuple[str, ...]:
    """Intermediate values to match: evenly spaced, where paths part or meet.

    What is read by several nodes, or made of several values, is what a network passes on from block to block; where
    there are too few of these, all others count too.

    Args:
        teacher: The graph that the values are taken of.
        usable: Names of those that can be compared.
        count: How many.
    """
    common = [v for v in _handed_on(teacher) if (v.name or "") in usable]
    joints = [v for v in common if len(v.uses()) > 1 or _meets(v)]
    chosen = joints if len(joints) >= count else common
    spaced = _spread(chosen, count)
    return tuple(v.name or "" for v in spaced)


def _handed_on(model: ir.Model) -> list[ir.Value]:
    """What nodes hand on, but for outputs of the graph."""
    return [
        v for node in model.graph for v in node.outputs if v.name and not v.is_graph_output() and v.uses()
    ]


def _meets(value: ir.Value) -> bool:
    node = value.producer()
    if node is None:
        return False
    computed = [v for v in node.inputs if v is not None and v.producer() is not None]
    return node.op_type in {"Add", "Sum", "Concat"} and len(computed) > 1


def _spread(values: Sequence[ir.Value], count: int) -> list[ir.Value]:
    if count >= len(values):
        return list(values)
    return [values[round((i + 1) * len(values) / count) - 1] for i in range(count)]
