"""From an optimised model to a bundle that a device team ships.

Names are loaded when they are first used: who reads a manifest needs neither onnx nor ONNX Runtime. A function that is
called like its module (``usability``, ``web_runtime``, ``wire_size``) is imported from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import load_name

if TYPE_CHECKING:
    from .activation_memory import ActivationPeak, peak_activation, peak_activation_bytes
    from .bundle import BundleContent, fill_bundle
    from .clients import clients_of
    from .cpu_runs import open_on_cpu
    from .fixed_shapes import fix_shapes, open_dims
    from .lowering import lower
    from .manifest import Manifest, as_document, read_manifest, seal
    from .manifest_parts import Measured, PreprocessingEntry, SelfTest, Tolerance
    from .operators import OperatorSet, check_operators, operators_of, read_config
    from .ort_format import OrtModel, convert_to_ort
    from .platforms import PLATFORMS, Platform, get_platform
    from .self_test import SelfTestResult, check_storable, run_self_test, write_self_test
    from .tolerance import Allowance, choose_tolerance
    from .usability import LeftNode, Usability
    from .verification import Check, Opened, VerifyReport, check_report, verify
    from .web_runtime import WebRuntime
    from .wire_size import WireSize

__all__ = [
    "PLATFORMS",
    "ActivationPeak",
    "Allowance",
    "BundleContent",
    "Check",
    "LeftNode",
    "Manifest",
    "Measured",
    "Opened",
    "OperatorSet",
    "OrtModel",
    "Platform",
    "PreprocessingEntry",
    "SelfTest",
    "SelfTestResult",
    "Tolerance",
    "Usability",
    "VerifyReport",
    "WebRuntime",
    "WireSize",
    "as_document",
    "check_operators",
    "check_report",
    "check_storable",
    "choose_tolerance",
    "clients_of",
    "convert_to_ort",
    "fill_bundle",
    "fix_shapes",
    "get_platform",
    "lower",
    "open_dims",
    "open_on_cpu",
    "operators_of",
    "peak_activation",
    "peak_activation_bytes",
    "read_config",
    "read_manifest",
    "run_self_test",
    "seal",
    "verify",
    "write_self_test",
]

_PLACES: dict[str, tuple[str, ...]] = {
    "activation_memory": ("ActivationPeak", "peak_activation", "peak_activation_bytes"),
    "bundle": ("BundleContent", "fill_bundle"),
    "clients": ("clients_of",),
    "cpu_runs": ("open_on_cpu",),
    "fixed_shapes": ("fix_shapes", "open_dims"),
    "lowering": ("lower",),
    "manifest": ("Manifest", "as_document", "read_manifest", "seal"),
    "manifest_parts": ("Measured", "PreprocessingEntry", "SelfTest", "Tolerance"),
    "operators": ("OperatorSet", "check_operators", "operators_of", "read_config"),
    "ort_format": ("OrtModel", "convert_to_ort"),
    "platforms": ("PLATFORMS", "Platform", "get_platform"),
    "self_test": ("SelfTestResult", "check_storable", "run_self_test", "write_self_test"),
    "tolerance": ("Allowance", "choose_tolerance"),
    "usability": ("LeftNode", "Usability"),
    "verification": ("Check", "Opened", "VerifyReport", "check_report", "verify"),
    "web_runtime": ("WebRuntime",),
    "wire_size": ("WireSize",),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    return load_name(__name__, _HOME, name)
