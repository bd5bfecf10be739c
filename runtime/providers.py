"""Which execution provider is meant, whether it is there, and what to do where it is not.

ONNX Runtime falls back to the CPU with no more than a ``UserWarning``. Here a provider that is asked for and
not there is an error; everything that decides so is a pure function of what the runtime offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import ProviderError, UsageError
from .engine import load_onnxruntime

CPU = "CPUExecutionProvider"
"""The provider that is always there."""

_SUFFIX = "ExecutionProvider"

_ALIASES = {"directml": "dml", "trt": "tensorrt", "tensorrt-rtx": "nvtensorrtrtx", "rtx": "nvtensorrtrtx"}

_INSTALL: dict[str, str] = {
    "CUDAExecutionProvider": 'pip uninstall -y onnxruntime && pip install "onnxruntime-gpu>=1.22"',
    "TensorrtExecutionProvider": 'pip uninstall -y onnxruntime && pip install "onnxruntime-gpu>=1.22" tensorrt',
    "NvTensorRTRTXExecutionProvider": "pip install onnxruntime-ep-nv-tensorrt-rtx",
    "DmlExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-directml (on Windows)",
    "OpenVINOExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-openvino",
    "QNNExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-qnn",
    "MIGraphXExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-migraphx",
    "ROCMExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-rocm",
    "CANNExecutionProvider": "pip uninstall -y onnxruntime && pip install onnxruntime-cann",
    "WebGpuExecutionProvider": "pip install onnxruntime-ep-webgpu",
    "CoreMLExecutionProvider": "pip install onnxruntime (on macOS)",
}
"""How to get a build of ONNX Runtime that holds a provider."""

_DRIVER: dict[str, str] = {
    "CUDAExecutionProvider": (
        "check the driver with nvidia-smi, then the CUDA and cuDNN libraries: "
        'pip install "onnxruntime-gpu[cuda,cudnn]"'
    ),
    "TensorrtExecutionProvider": (
        "check the driver with nvidia-smi, then the libraries: "
        'pip install "onnxruntime-gpu[cuda,cudnn]" tensorrt'
    ),
    "ROCMExecutionProvider": "check the driver with rocminfo, and that the ROCm libraries match onnxruntime-rocm",
}
"""What to check where the build holds a provider that does not start."""


@dataclass(frozen=True)
class Offer:
    """What the installed ONNX Runtime offers.

    Attributes:
        known: Every provider name that ONNX Runtime has heard of.
        built_in: Providers in this build.
        plugins: Providers that were loaded as a plug-in library.
    """

    known: tuple[str, ...]
    built_in: tuple[str, ...]
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A provider that was found.

    Attributes:
        name: Its full name.
        is_plugin: Whether it came from a plug-in library.
        note: What to say where the CPU stands in for what was asked for.
    """

    name: str
    is_plugin: bool = False
    note: str | None = None


@dataclass(frozen=True)
class ProviderStatus:
    """One provider, for a listing.

    Attributes:
        name: Full name.
        short: The name to ask for it by.
        is_available: Whether the installed ONNX Runtime holds it.
        is_plugin: Whether it came from a plug-in library.
        devices: What it says it runs on (``CPU``, ``GPU``, ``NPU``), where it says so.
        remedy: How to get it, where it is not available.
    """

    name: str
    short: str
    is_available: bool
    is_plugin: bool
    devices: tuple[str, ...]
    remedy: str


def current_offer() -> Offer:
    """What the installed ONNX Runtime offers.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    ort = load_onnxruntime()
    built_in = tuple(ort.get_available_providers())
    plugins = tuple(dict.fromkeys(d.ep_name for d in _devices(ort) if d.ep_name not in built_in))
    return Offer(tuple(ort.get_all_providers()), built_in, plugins)


def list_providers() -> tuple[ProviderStatus, ...]:
    """Every provider that could be asked for: those that are there first, then those that are not.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    offer = current_offer()
    devices: dict[str, list[str]] = {}
    for device in _devices(load_onnxruntime()):
        devices.setdefault(device.ep_name, []).append(device.device.type.name)
    there = (*offer.built_in, *offer.plugins)
    names = dict.fromkeys((*sorted(there, key=lambda n: n != CPU), *offer.known, *_INSTALL))
    return tuple(
        ProviderStatus(
            name=name,
            short=short_name(name),
            is_available=name in there,
            is_plugin=name in offer.plugins,
            devices=tuple(dict.fromkeys(devices.get(name, []))),
            remedy="" if name in there else install_remedy(name),
        )
        for name in names
    )


def short_name(provider: str) -> str:
    """The name to ask for a provider by: ``cuda`` for ``CUDAExecutionProvider``."""
    return provider.removesuffix(_SUFFIX).lower()


def full_name(text: str, offer: Offer) -> str:
    """Turn a short name, an alias or a full name in any case into the full name.

    Args:
        text: What the user wrote.
        offer: What the runtime offers.

    Raises:
        UsageError: No provider is called so.
    """
    wanted = _ALIASES.get(text.lower(), text.lower())
    names = dict.fromkeys((*offer.built_in, *offer.plugins, *offer.known, *_INSTALL))
    for name in names:
        if wanted in (name.lower(), short_name(name)):
            return name
    there = ", ".join(short_name(n) for n in (*offer.built_in, *offer.plugins))
    raise UsageError(f"unknown execution provider {text!r}", remedy=f"this machine has: {there}")


def choose_provider(text: str, offer: Offer, *, allow_fallback: bool = False) -> Choice:
    """Find the provider that was asked for.

    Args:
        text: What the user wrote.
        offer: What the runtime offers.
        allow_fallback: Whether the CPU may stand in, with a note.

    Raises:
        UsageError: No provider is called so.
        ProviderError: It is not in the installed build, and the CPU may not stand in.
    """
    name = full_name(text, offer)
    if name in offer.built_in:
        return Choice(name)
    if name in offer.plugins:
        return Choice(name, is_plugin=True)
    cause = f"{name} was asked for, and the installed ONNX Runtime does not have it"
    if allow_fallback:
        return Choice(CPU, note=f"{cause}: everything ran on {CPU}")
    raise ProviderError(cause, remedy=install_remedy(name))


def check_started(
    choice: Choice, session_providers: Sequence[str], *, allow_fallback: bool = False
) -> str | None:
    """Check that a session holds the provider it was made for.

    Args:
        choice: What the session was asked for.
        session_providers: What ``session.get_providers()`` says.
        allow_fallback: Whether its absence is a note instead of an error.

    Returns:
        A note where it is absent and that is allowed, else None.

    Raises:
        ProviderError: ONNX Runtime left it out.
    """
    if choice.name in session_providers:
        return None
    got = ", ".join(session_providers) or "nothing"
    cause = f"{choice.name} was asked for, and ONNX Runtime could not start it and took {got}"
    if allow_fallback:
        return cause
    raise ProviderError(cause, remedy=driver_remedy(choice.name))


def install_remedy(provider: str) -> str:
    """How to get a build of ONNX Runtime with this provider, in one line."""
    if provider in _INSTALL:
        return f"run: {_INSTALL[provider]}"
    return f"install a build of ONNX Runtime, or load a plug-in library, that holds {provider}"


def driver_remedy(provider: str) -> str:
    """What to check where the build holds the provider and it does not start, in one line."""
    return _DRIVER.get(provider, f"check the driver and libraries that {provider} needs")


def _devices(ort: Any) -> Sequence[Any]:
    """The devices of providers, where this ONNX Runtime can list them."""
    return ort.get_ep_devices() if hasattr(ort, "get_ep_devices") else ()
