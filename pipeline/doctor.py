"""What this machine can do: instructions, providers, packages, and what to install for the rest."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from ..core.targets import cpu_flags, get_target
from ..runtime import ProviderStatus, list_providers

_VECTOR = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "avx512_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)

_PACKAGES: tuple[tuple[str, str | None, str], ...] = (
    ("numpy", None, "arrays"),
    ("onnx", None, "checker, shape inference"),
    ("onnx-ir", None, "the graph in memory"),
    ("onnxscript", None, "cleanup of graphs"),
    ("scipy", None, "coupling, statistics"),
    ("pydantic", None, "recipes"),
    ("onnxruntime", "cpu", "prune, quantize, compare, bench"),
    ("torch", "torch", "export, train, distill"),
    ("accelerate", "torch", "train, distill"),
    ("safetensors", "torch", "weights"),
    ("scikit-learn", "demo", "the data set digits"),
)
# Either build of ONNX Runtime will do; they install the same module.
_SUBSTITUTES = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
}


@dataclass(frozen=True)
class Package:
    """A package that Sardonyx uses.

    Attributes:
        name: The distribution.
        version: What is installed; None where it is missing.
        extra: The extra that brings it; None for what is always there.
        purpose: The verbs that need it.
    """

    name: str
    version: str | None
    extra: str | None
    purpose: str


@dataclass(frozen=True)
class Diagnosis:
    """What this machine can do.

    Attributes:
        version: Of Sardonyx.
        python: Version of Python.
        platform: Operating system and processor.
        cpus: Cores that this process may use.
        cpu_features: Vector instructions that decide about speed.
        target: What ``--target auto`` stands for.
        target_reasons: Why its types were chosen.
        providers: Execution providers: those that are here, then those that are not and how to get them.
        packages: What is installed and what is not.
        remedies: The command that brings each missing part.
    """

    version: str
    python: str
    platform: str
    cpus: int
    cpu_features: tuple[str, ...]
    target: str
    target_reasons: tuple[str, ...]
    providers: tuple[ProviderStatus, ...]
    packages: tuple[Package, ...]
    remedies: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Look at this machine."""
    packages = tuple(Package(name, _version(name), extra, purpose) for name, extra, purpose in _PACKAGES)
    target = get_target()
    flags = cpu_flags()
    return Diagnosis(
        version=_version("sardonyx") or "unknown",
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_features=tuple(f for f in _VECTOR if f in flags),
        target=target.name,
        target_reasons=target.reasons,
        providers=_providers(packages),
        packages=packages,
        remedies=_remedies(packages),
    )


def _version(name: str) -> str | None:
    for candidate in (name, *_SUBSTITUTES.get(name, ())):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None


def _providers(packages: tuple[Package, ...]) -> tuple[ProviderStatus, ...]:
    if not any(p.name == "onnxruntime" and p.version for p in packages):
        return ()
    return list_providers()


def _remedies(packages: tuple[Package, ...]) -> tuple[str, ...]:
    extras = dict.fromkeys(p.extra for p in packages if p.version is None and p.extra)
    verbs = {e: ", ".join(p.purpose for p in packages if p.extra == e and p.version is None) for e in extras}
    return tuple(f'for {verbs[extra]}: pip install "sardonyx[{extra}]"' for extra in extras)
