"""The checks that every model passes, in the order in which each makes the next one safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from .attributes import check_attributes
from .declared import check_declared
from .detach import embed
from .domains import RUNTIME_DOMAINS
from .errors import ModelError
from .external_data import DataFolder, region_of
from .functions import check_functions, functions_by_key, key_of
from .growth import is_growth_bounded
from .inference import SMALL_ELEMENTS, infer_lengths, infer_strictly, run_checker, without_weights
from .inference_child import check_in_child
from .lengths import are_lengths_bounded
from .limits import Limits, refuse_above
from .mapped import mapped_tensor
from .protos import all_nodes, all_tensors
from .scales import check_scales
from .sparse import densify
from .structure import check_structure
from .tensor_checks import check_tensor
from .versions import check_versions


@dataclass(frozen=True)
class Admitted:
    """What the door let in.

    Attributes:
        weights: Contents of the initializers that stay outside the message, by name; empty where all fit.
        notes: What was repaired, and what will need care.
        is_changed: Whether the message differs from the one that was read.
    """

    weights: Mapping[str, ir.TensorProtocol]
    notes: tuple[str, ...]
    is_changed: bool


def admit(
    model: onnx.ModelProto, data: DataFolder, limits: Limits, detached: frozenset[str] = frozenset()
) -> Admitted:
    """Check a model and make it ready for use, in place.

    Args:
        model: The message; external data is taken in, nodes may be sorted and renamed.
        data: Where external data may be read from.
        limits: What is too much.
        detached: Initializers whose contents are in memory beside the message.

    Raises:
        ModelError: The model cannot be accepted; the cause says why.
        LimitError: It asks for more than a limit admits.
    """
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ModelError("the model is empty: it has no graph", remedy="export or download it again")
    check_versions(model)
    check_functions(model, limits)
    repairs = list(check_declared(model, limits))
    weights = _take_in(model, data, limits, detached)
    repairs += densify(model, limits)
    for tensor, place, _ in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            check_tensor(tensor, place, limits)
    repairs += check_structure(model)
    check_attributes(model)
    check_scales(model)
    _prove_shapes(model, limits)
    is_changed = bool(repairs or data.files())
    return Admitted(weights, (*repairs, *_unknown_domains(model)), is_changed)


def _prove_shapes(model: onnx.ModelProto, limits: Limits) -> None:
    light = without_weights(model)
    if is_growth_bounded(light, limits) and are_lengths_bounded(infer_lengths(light), limits):
        run_checker(light)
        infer_strictly(light)
    else:
        check_in_child(light, limits)


def _take_in(
    model: onnx.ModelProto, data: DataFolder, limits: Limits, detached: frozenset[str]
) -> dict[str, ir.TensorProtocol]:
    """Check all external data, then embed it, or keep it mapped where it is too much for the message."""
    placed = [p for p in all_tensors(model) if p.tensor.data_location == onnx.TensorProto.EXTERNAL]
    outside = [p for p in placed if not (p.is_weight and p.tensor.name in detached)]
    regions = [region_of(p.tensor, p.place, limits) for p in outside]
    total = sum(region.length for region in regions)
    refuse_above(total, limits.external_bytes, "bytes of external data", "external_bytes")
    fits = total + model.ByteSize() <= limits.message_bytes
    kept: dict[str, ir.TensorProtocol] = {}
    for region, (tensor, place, is_weight) in zip(regions, outside, strict=True):
        view = data.view(region, place)
        if fits or not is_weight or region.length <= SMALL_ELEMENTS:
            embed(tensor, bytes(view))
        else:
            kept[tensor.name] = mapped_tensor(tensor, view, region.offset)
    return kept


def _unknown_domains(model: onnx.ModelProto) -> tuple[str, ...]:
    functions = functions_by_key(model)
    unknown: dict[str, set[str]] = {}
    for node in all_nodes(model):
        if node.domain not in RUNTIME_DOMAINS and key_of(node) not in functions:
            unknown.setdefault(node.domain, set()).add(node.op_type)
    return tuple(
        f"operators of domain {domain!r} need a library to run: {', '.join(sorted(ops)[:8])}"
        for domain, ops in sorted(unknown.items())
    )
