"""The four platforms that a bundle can be made for, and what their ONNX Runtime takes.

A model is only ever lowered to what the oldest runtime of a platform reads; a newer one reads it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..core.errors import UsageError


class Release(NamedTuple):
    """The newest versions that a release of ONNX Runtime reads.

    Attributes:
        opset: Of the standard operators.
        ir_version: Of the format.
    """

    opset: int
    ir_version: int


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "1.22": Release(22, 10),
        "1.23": Release(23, 11),
        "1.24": Release(25, 13),
        "1.25": Release(26, 13),
        "1.26": Release(26, 13),
        "1.27": Release(26, 13),
        "1.28": Release(26, 13),
        "1.29": Release(26, 13),
        "1.30": Release(26, 13),
        "1.31": Release(26, 13),
        "1.32": Release(28, 14),
    }
)
"""By release, as found by opening a model of each version in that release: above these it refuses."""

_MOBILE_OPSET = 21
"""Opset 22 gave some fifty operators a new version for the sake of bfloat16; kernels of providers are registered
version by version and lag behind (``RoiAlign`` of opset 22 has none even on the CPU), so a phone gets opset 21."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a bundle is made for.

    Attributes:
        name: The name it is asked for by.
        title: What to call it in a sentence.
        runtime: The package that runs the model there.
        runtime_version: The oldest version of it that reads the bundle; for the web, the one that is shipped.
        opset: The newest opset that the model may have.
        ir_version: The newest version of the format that it may have.
        providers: Execution providers that it can run on, by short name.
        activation_type: The integer type of activations that its integer kernels like.
        fixed_shapes: Whether some of the providers take no dimension without a number.
        ort_platform: What files in ORT format are made for; None where the bundle has none.
        clients: Which client sources go into the bundle.
    """

    name: str
    title: str
    runtime: str
    runtime_version: str
    opset: int
    ir_version: int
    providers: tuple[str, ...]
    activation_type: Literal["uint8", "int8"]
    fixed_shapes: bool
    ort_platform: Literal["arm", "amd64"] | None
    clients: tuple[str, ...]


_ALL = (
    Platform(
        name="linux",
        title="Linux on x86-64",
        runtime="onnxruntime",
        runtime_version="1.22",
        opset=RELEASES["1.22"].opset,
        ir_version=RELEASES["1.22"].ir_version,
        providers=("cpu",),
        activation_type="uint8",
        fixed_shapes=False,
        ort_platform="amd64",
        clients=("python", "cpp"),
    ),
    Platform(
        name="web",
        title="web browsers and Node.js",
        runtime="onnxruntime-web",
        runtime_version="1.30.0",
        opset=RELEASES["1.30"].opset,
        ir_version=RELEASES["1.30"].ir_version,
        providers=("wasm",),
        activation_type="uint8",
        fixed_shapes=False,
        ort_platform=None,
        clients=("web", "node"),
    ),
    Platform(
        name="android",
        title="Android",
        runtime="onnxruntime-android",
        runtime_version="1.22",
        opset=_MOBILE_OPSET,
        ir_version=RELEASES["1.22"].ir_version,
        providers=("cpu", "nnapi", "xnnpack", "qnn"),
        activation_type="int8",
        fixed_shapes=True,
        ort_platform="arm",
        clients=("kotlin",),
    ),
    Platform(
        name="ios",
        title="iOS",
        runtime="onnxruntime-objc",
        runtime_version="1.22",
        opset=_MOBILE_OPSET,
        ir_version=RELEASES["1.22"].ir_version,
        providers=("cpu", "coreml", "xnnpack"),
        activation_type="int8",
        fixed_shapes=False,
        ort_platform="arm",
        clients=("swift",),
    ),
)

PLATFORMS: Mapping[str, Platform] = MappingProxyType({platform.name: platform for platform in _ALL})
"""Every platform by name."""


def get_platform(name: str) -> Platform:
    """Find a platform.

    Args:
        name: Its name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in PLATFORMS:
        raise UsageError(f"unknown platform {name!r}", remedy=f"choose one of: {', '.join(PLATFORMS)}")
    return PLATFORMS[name]
