"""Which execution provider is meant, whether it is there, and what to do where it is not.

ONNX Runtime falls back to the CPU with no more than a ``UserWarning``. Here a provider that is asked for and
not there is an error; everything that decides so is a pure function of what the runtime offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    "OpenVINOExecutionProvider": "set the option device_type (CPU, GPU or NPU) to a device that is here",
    "QNNExecutionProvider": "set the option backend_path to the backend's library: libQnnHtp.so, libQnnCpu.so",
    "WebGpuExecutionProvider": "check with vulkaninfo that there is a GPU and its Vulkan driver",
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
        asked: What was asked for, where the CPU stands in for it.
    """

    name: str
    is_plugin: bool = False
    note: str | None = None
    asked: str | None = None


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
    available = tuple(ort.get_available_providers())
    brought = [name for library in _LOADED.values() for name in library.providers]
    # newer releases count plug-ins among the available ones too
    plugins = dict.fromkeys((*brought, *(d.ep_name for d in _devices(ort) if d.ep_name not in available)))
    built_in = tuple(name for name in available if name not in plugins)
    return Offer(tuple(ort.get_all_providers()), built_in, tuple(plugins))


@dataclass(frozen=True)
class Library:
    """A plug-in library that was loaded.

    Attributes:
        path: Its file.
        providers: Full names of the providers that it brought to a device of this machine.
    """

    path: str
    providers: tuple[str, ...]


_LOADED: dict[str, Library] = {}
"""What this process has loaded, by the names given: ONNX Runtime does not say where a provider came from."""


def register_library(name: str, path: str | Path) -> tuple[str, ...]:
    """Load a plug-in library of execution providers, which can then be asked for by name.

    A library that is loaded already under this name is left as it is.

    Args:
        name: A name for the library; its makers may say which.
        path: The library's file: ``.so``, ``.dylib`` or ``.dll``.

    Returns:
        The full names of the providers that it brings to a device of this machine.

    Raises:
        UsageError: The name is empty, or stands for another library.
        ProviderError: The file is not there, is no such library, or has no device here.
        MissingExtraError: ONNX Runtime is not installed.
    """
    return _register(load_onnxruntime(), name, Path(path), _LOADED)


def loaded_libraries() -> dict[str, str]:
    """The plug-in libraries that this process has loaded: paths by the names given to them."""
    return {name: library.path for name, library in _LOADED.items()}


def _register(ort: Any, name: str, path: Path, loaded: dict[str, Library]) -> tuple[str, ...]:
    where = str(path.absolute())
    if not name:
        raise UsageError(f"the plug-in library {path} has no name", remedy="give it one: NAME=PATH")
    if name not in loaded:
        loaded[name] = Library(where, _load(ort, name, path))
    if loaded[name].path != where:
        raise UsageError(
            f"the name {name!r} stands for the plug-in library {loaded[name].path}",
            remedy="give the other one its own name",
        )
    return loaded[name].providers


def _load(ort: Any, name: str, path: Path) -> tuple[str, ...]:
    """Load one library, and take it out again where no device comes with it."""
    if not hasattr(ort, "register_execution_provider_library"):
        raise ProviderError(
            f"onnxruntime {ort.__version__} loads no plug-in libraries",
            remedy='run: pip install -U "onnxruntime>=1.23"',
        )
    if not path.is_file():
        raise ProviderError(f"the plug-in library {path} is not there", remedy="check the path after NAME=")
    before = len(_devices(ort))
    try:
        ort.register_execution_provider_library(name, str(path.absolute()))
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise ProviderError(
            f"the plug-in library {path} cannot be loaded: {error}",
            remedy="check that it is a library of execution providers for this system, and what it needs itself",
        ) from error
    brought = tuple(dict.fromkeys(d.ep_name for d in _devices(ort)[before:]))
    if not brought:
        ort.unregister_execution_provider_library(name)
        raise ProviderError(
            f"the plug-in library {path} was loaded, and finds no device of its own on this machine",
            remedy="check the device and its driver",
        )
    return brought


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
        return Choice(CPU, note=f"{cause}: everything ran on {CPU}", asked=name)
    raise ProviderError(cause, remedy=install_remedy(name))


def check_started(
    choice: Choice,
    session_providers: Sequence[str],
    *,
    allow_fallback: bool = False,
    find_reason: Callable[[], str | None] = lambda: None,
) -> str | None:
    """Check that a session holds the provider it was made for.

    Args:
        choice: What the session was asked for.
        session_providers: What ``session.get_providers()`` says.
        allow_fallback: Whether its absence is a note instead of an error.
        find_reason: Looks for the reason of an error, which may take a while.

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
    reason = find_reason()
    raise ProviderError(f"{cause}: {reason}" if reason else cause, remedy=driver_remedy(choice.name))


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
