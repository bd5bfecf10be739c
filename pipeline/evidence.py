"""What a comparison recorded beside its figures, for the report: times of nodes, and answers that changed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from ..calib_data import CalibrationData
from ..core.png import encode_png
from ..runtime.changed import picture_of
from .report import ChangedSample, NodeCost

NodeTimes = Mapping[str, tuple[float | None, float | None]]
"""Microseconds of each node in the first model and in the last; None where a model has no such node."""


def node_times(profile: Mapping[str, Any] | None) -> NodeTimes:
    """Times of the nodes of a profile.

    Args:
        profile: A :class:`~sardonyx.runtime.ProfileReport` as plain data; None where nothing was profiled.
    """
    models = [] if profile is None else profile["models"]
    tables = [{node["node"]: 1000.0 * node["median_ms"] for node in model["nodes"]} for model in models]
    before, after = ({}, *tables)[-2:] if tables else ({}, {})
    return {name: (before.get(name), after.get(name)) for name in dict.fromkeys([*after, *before])}


def node_costs(profile: Mapping[str, Any] | None, operators: Mapping[str, str]) -> tuple[NodeCost, ...]:
    """What the nodes of a profile cost.

    Args:
        profile: A :class:`~sardonyx.runtime.ProfileReport` as plain data; None where nothing was profiled.
        operators: The operator of each node of the last model.
    """
    if profile is None:
        return ()
    last = {node["node"]: node for node in profile["models"][-1]["nodes"]}
    changes = {node["node"]: node for node in (profile["change"] or {}).get("nodes", ())}
    return tuple(
        NodeCost(
            node=name,
            op_type=operators.get(name, ""),
            time_before_us=before_us,
            time_after_us=after_us,
            macs=last[name]["macs"] if name in last else None,
            kernel=" ".join(last[name]["kernels"]) if name in last else "",
            note=_remark(changes.get(name)),
        )
        for name, (before_us, after_us) in node_times(profile).items()
    )


def _remark(change: Mapping[str, Any] | None) -> str:
    if change is None or change["verdict"] == "faster":
        return ""
    return "integers did not help" if change["became_integer"] else change["verdict"]


def changed_samples(
    found: Sequence[Mapping[str, Any]], model: str, data: CalibrationData
) -> tuple[ChangedSample, ...]:
    """Samples that a model answers differently from the first, with pictures where they are pictures.

    Args:
        found: :class:`~sardonyx.runtime.ChangedAnswers` of each model as plain data.
        model: The model.
        data: The samples.
    """
    answers = next((f["answers"] for f in found if f["model"] == model), ())
    return tuple(
        ChangedSample(
            index=answer["index"],
            label="" if answer["label"] is None else str(answer["label"]),
            before=_name(answer["before"]),
            after=_name(answer["after"]),
            picture_png_base64=_png(data, answer["index"]),
        )
        for answer in answers
    )


def _name(answer: int) -> str:
    return "none" if answer < 0 else str(answer)


def _png(data: CalibrationData, index: int) -> str:
    pixels = picture_of(data, index)
    return "" if pixels is None else base64.b64encode(encode_png(pixels)).decode("ascii")
