"""What a piece of hardware likes: integer types, zero points, channel multiples, integer kernels, and what it forbids.

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


@dataclass(frozen=True, kw_only=True)
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
        other_types: Further types that its kernels take for activations.
        per_channel_ops: Operators whose weights may have one scale for each output channel.
        quantized_bias: Whether biases are 32-bit integers; otherwise they stay float.
        needs_fixed_shapes: Whether a dimension without a number keeps a model off its kernels.
        forbids: What it does not take, in sentences for the report.
        instead: What to use where integers do not run, such as ``float16``; empty where they do.
    """

    name: str
    provider: str
    activation_type: IntType
    weight_type: IntType = "int8"
    zero_point: ZeroPointRule = "asymmetric"
    reduce_range: bool = False
    channel_multiple: int = 8
    integer_ops: frozenset[str]
    reasons: tuple[str, ...]
    other_types: tuple[IntType, ...] = ()
    per_channel_ops: frozenset[str] = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
    quantized_bias: bool = True
    needs_fixed_shapes: bool = False
    forbids: tuple[str, ...] = ()
    instead: str = ""

    @property
    def is_cpu(self) -> bool:
        """Whether ONNX Runtime's own CPU kernels run it."""
        return self.provider == _CPU

    @property
    def activation_types(self) -> tuple[IntType, ...]:
        """Every type that its kernels take for activations, the one it likes best first."""
        return (self.activation_type, *self.other_types)


_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool"})
_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
_CPU_OPS = _PRODUCTS | _POOLS | {"Add", "Mul", "Concat", "Clip", "Relu"}
_DEVICE_OPS = _CPU_OPS | {"ConvTranspose", "LeakyRelu", "Resize", "Sigmoid", "Softmax", "Sub", "Tanh"}
_CPU = "CPUExecutionProvider"

_NO_WEIGHT_SHIFT = "weights with a zero-point other than 0"
_FIXED = "dimensions without a number: fix them first"

_TARGETS = (
    Target(
        name="cpu-x86",
        provider=_CPU,
        activation_type="uint8",
        channel_multiple=16,
        integer_ops=_CPU_OPS,
        other_types=("int8",),
        reasons=("x86 multiplies unsigned activations with signed weights in one VNNI instruction",),
        forbids=("16-bit activations: there are no kernels for them",),
    ),
    Target(
        name="cpu-arm64",
        provider=_CPU,
        activation_type="int8",
        integer_ops=_CPU_OPS,
        other_types=("uint8",),
        reasons=(
            "ARM dot-product instructions take signed activations and signed weights",
            "ONNX Runtime joins a Relu with the convolution before it only where the zero-point is the smallest integer",
        ),
        forbids=("16-bit activations: there are no kernels for them",),
    ),
    Target(
        name="cuda",
        provider="CUDAExecutionProvider",
        activation_type="int8",
        zero_point="symmetric",
        integer_ops=frozenset(),
        reasons=(
            "ONNX Runtime has no CUDA kernels for Q/DQ convolutions: int8 saves memory there, not time",
        ),
        forbids=("integer convolutions and matrix products between Q/DQ",),
        instead="float16",
    ),
    Target(
        name="tensorrt",
        provider="TensorrtExecutionProvider",
        activation_type="int8",
        zero_point="symmetric",
        integer_ops=_DEVICE_OPS,
        quantized_bias=False,
        reasons=(
            "TensorRT takes symmetric int8 with zero-point 0 only",
            "TensorRT dequantizes no 32-bit integers: biases stay float",
        ),
        forbids=("zero-points other than 0", "unsigned activations", "biases in integers"),
    ),
    Target(
        name="openvino",
        provider="OpenVINOExecutionProvider",
        activation_type="uint8",
        channel_multiple=16,
        integer_ops=_DEVICE_OPS,
        other_types=("int8",),
        reasons=("OpenVINO reads Q/DQ as FakeQuantize and prefers unsigned activations behind a Relu",),
        forbids=(_NO_WEIGHT_SHIFT,),
    ),
    Target(
        name="qnn",
        provider="QNNExecutionProvider",
        activation_type="uint8",
        integer_ops=_DEVICE_OPS,
        other_types=("uint16",),
        per_channel_ops=frozenset({"Conv", "ConvTranspose"}),
        needs_fixed_shapes=True,
        reasons=(
            "the Hexagon backend takes unsigned asymmetric activations, in 8 or 16 bits",
            "the Hexagon backend takes one scale a channel for convolutions only",
        ),
        forbids=("signed activations", "one scale a channel outside convolutions", _FIXED),
    ),
    Target(
        name="xnnpack",
        provider="XnnpackExecutionProvider",
        activation_type="int8",
        integer_ops=frozenset({"AveragePool", "Conv", "ConvTranspose", "MaxPool", "Resize", "Softmax"}),
        per_channel_ops=frozenset({"Conv", "ConvTranspose"}),
        reasons=("XNNPACK has signed convolutions with one scale a channel, and float matrix products",),
        forbids=(_NO_WEIGHT_SHIFT, "matrix products in integers"),
    ),
    Target(
        name="nnapi",
        provider="NnapiExecutionProvider",
        activation_type="uint8",
        integer_ops=_PRODUCTS
        | {"Add", "AveragePool", "Concat", "MaxPool", "Mul", "Resize", "Sigmoid", "Softmax"},
        per_channel_ops=frozenset({"Conv"}),
        needs_fixed_shapes=True,
        reasons=("NNAPI takes unsigned activations, and one scale a channel for convolutions only",),
        forbids=("one scale a channel outside convolutions", _FIXED),
    ),
    Target(
        name="coreml",
        provider="CoreMLExecutionProvider",
        activation_type="int8",
        zero_point="symmetric",
        integer_ops=frozenset(),
        reasons=("ONNX Runtime's CoreML provider leaves Q/DQ to the CPU",),
        forbids=("Q/DQ",),
        instead="float16",
    ),
    Target(
        name="web",
        provider=_CPU,
        activation_type="uint8",
        integer_ops=_CPU_OPS,
        other_types=("int8",),
        reasons=(
            "ONNX Runtime Web runs the CPU's kernels in WebAssembly, which sums in 32 bits and does not saturate",
        ),
        forbids=("16-bit activations: there are no kernels for them",),
    ),
)

_TABLE = {target.name: target for target in _TARGETS}

TARGET_NAMES: tuple[str, ...] = ("auto", *_TABLE)
"""What ``--target`` accepts."""


def this_machine() -> str:
    """Name of the target that this machine's CPU is."""
    return "cpu-arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "cpu-x86"


def get_target(name: str = "auto") -> Target:
    """Look a target up, fitted to this machine's instructions where it is this machine's kind.

    Args:
        name: One of :data:`TARGET_NAMES`; ``auto`` is the CPU of this machine.

    Raises:
        UsageError: The name is not known.
    """
    if name == "auto":
        name = this_machine()
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
