"""What a piece of hardware likes: integer types, zero points, channel multiples, integer kernels.

Measured on x86 with VNNI: int8 activations (S8S8) run at less than half the speed of uint8 ones (U8S8), so
the type follows the target. Convolution kernels want channels in multiples of the vector block.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from .errors import UsageError

IntType = Literal["uint8", "int8", "uint16", "int16"]
ZeroPointRule = Literal["asymmetric", "symmetric"]


@dataclass(frozen=True)
class Target:
    """A piece of hardware, seen from a graph.

    Attributes:
        name: The name it is asked for by.
        provider: The ONNX Runtime execution provider it runs on.
        activation_type: Integer type of quantized activations.
        weight_type: Integer type of quantized weights.
        zero_point: Rule for activations; symmetric in an unsigned type means zero-point at the middle (128).
        reduce_range: Whether weights keep to 7 bits, against 16-bit saturation on x86 without VNNI.
        channel_multiple: Channels are kept in multiples of this.
        integer_ops: Operators that have an integer kernel when Q/DQ surrounds them.
        reasons: Why these choices, in sentences for the report.
    """

    name: str
    provider: str
    activation_type: IntType
    weight_type: IntType
    zero_point: ZeroPointRule
    reduce_range: bool
    channel_multiple: int
    integer_ops: frozenset[str]
    reasons: tuple[str, ...]


_CPU_OPS = frozenset(
    {
        "Conv",
        "MatMul",
        "Gemm",
        "Add",
        "Mul",
        "GlobalAveragePool",
        "AveragePool",
        "MaxPool",
        "Concat",
        "Clip",
        "Relu",
    }
)

_TABLE: dict[str, Target] = {
    "cpu-x86": Target(
        name="cpu-x86",
        provider="CPUExecutionProvider",
        activation_type="uint8",
        weight_type="int8",
        zero_point="asymmetric",
        reduce_range=False,
        channel_multiple=16,
        integer_ops=_CPU_OPS,
        reasons=("x86 multiplies unsigned activations with signed weights in one VNNI instruction",),
    ),
    "cpu-arm64": Target(
        name="cpu-arm64",
        provider="CPUExecutionProvider",
        activation_type="int8",
        weight_type="int8",
        zero_point="asymmetric",
        reduce_range=False,
        channel_multiple=8,
        integer_ops=_CPU_OPS,
        reasons=(
            "ARM dot-product instructions take signed activations and signed weights",
            "ONNX Runtime joins a Relu with the convolution before it only where the zero-point is the smallest integer",
        ),
    ),
    "cuda": Target(
        name="cuda",
        provider="CUDAExecutionProvider",
        activation_type="int8",
        weight_type="int8",
        zero_point="symmetric",
        reduce_range=False,
        channel_multiple=8,
        integer_ops=frozenset(),
        reasons=(
            "ONNX Runtime has no CUDA kernels for Q/DQ convolutions: int8 saves memory there, not time",
        ),
    ),
    "tensorrt": Target(
        name="tensorrt",
        provider="TensorrtExecutionProvider",
        activation_type="int8",
        weight_type="int8",
        zero_point="symmetric",
        reduce_range=False,
        channel_multiple=8,
        integer_ops=_CPU_OPS,
        reasons=("TensorRT takes symmetric int8 with zero-point 0 only",),
    ),
    "qnn": Target(
        name="qnn",
        provider="QNNExecutionProvider",
        activation_type="uint8",
        weight_type="int8",
        zero_point="asymmetric",
        reduce_range=False,
        channel_multiple=8,
        integer_ops=_CPU_OPS,
        reasons=("the Hexagon backend takes unsigned asymmetric activations",),
    ),
}

TARGET_NAMES: tuple[str, ...] = ("auto", *_TABLE)
"""What ``--target`` accepts."""


def get_target(name: str = "auto") -> Target:
    """Look a target up, fitted to this machine's instructions where it is this machine's kind.

    Args:
        name: One of :data:`TARGET_NAMES`; ``auto`` is the CPU of this machine.

    Raises:
        UsageError: The name is not known.
    """
    if name == "auto":
        name = "cpu-arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "cpu-x86"
    if name not in _TABLE:
        raise UsageError(f"unknown target {name!r}", remedy=f"choose one of {', '.join(TARGET_NAMES)}")
    target = _TABLE[name]
    return _fit_x86(target, cpu_flags()) if name == "cpu-x86" else target


@cache
def cpu_flags() -> frozenset[str]:
    """The instruction-set flags of this CPU, as Linux names them; empty where they cannot be read."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return frozenset()
    lines = path.read_text(encoding="utf8", errors="replace").splitlines()
    return frozenset(
        word
        for line in lines
        if line.startswith(("flags", "Features"))
        for word in line.split(":", 1)[1].split()
    )


def _fit_x86(target: Target, flags: frozenset[str]) -> Target:
    """Reduce the weights' range where 8-bit products are summed in saturating 16 bits (no VNNI)."""
    multiple = 16 if "avx512f" in flags or not flags else 8
    if not flags or flags & {"avx512_vnni", "avx_vnni"}:
        return replace(target, channel_multiple=multiple)
    text = "this CPU has no VNNI: weights keep to 7 bits so that 16-bit sums do not saturate"
    return replace(target, channel_multiple=multiple, reduce_range=True, reasons=(*target.reasons, text))
