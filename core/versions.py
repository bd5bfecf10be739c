"""Which versions of the format and of the standard operators can be read."""

from __future__ import annotations

import onnx

from .errors import ModelError
from .protos import DEFAULT_DOMAINS, all_nodes

OLDEST_IR_VERSION = 3
"""The first version of the format that states the versions of its operators."""


def check_versions(model: onnx.ModelProto) -> None:
    """Refuse versions that the installed onnx does not know.

    Raises:
        ModelError: The format's version, or that of the standard operators, is missing or out of range.
    """
    newest = onnx.IR_VERSION
    if not OLDEST_IR_VERSION <= model.ir_version <= newest:
        raise ModelError(
            f"ir_version {model.ir_version} is not supported, the range is {OLDEST_IR_VERSION} to {newest}",
            remedy="export the model again, or install a newer onnx",
        )
    _check_opsets(model)


def opset_of(model: onnx.ModelProto) -> int | None:
    """The version of the standard operators, or None where the model imports none."""
    return next((o.version for o in model.opset_import if o.domain in DEFAULT_DOMAINS), None)


def _check_opsets(model: onnx.ModelProto) -> None:
    seen: set[str] = set()
    for entry in model.opset_import:
        domain = "" if entry.domain in DEFAULT_DOMAINS else entry.domain
        if domain in seen:
            raise ModelError(f"two opset versions of domain {domain!r}", remedy="export the model again")
        seen.add(domain)
    newest, version = onnx.defs.onnx_opset_version(), opset_of(model)
    if version is not None and not 1 <= version <= newest:
        raise ModelError(
            f"opset {version} is not supported, the range is 1 to {newest}",
            remedy="export with a supported opset, or install a newer onnx",
        )
    if version is None and any(node.domain in DEFAULT_DOMAINS for node in all_nodes(model)):
        raise ModelError(
            f"the model states no opset, supported are 1 to {newest}",
            remedy="export the model again with an opset",
        )
