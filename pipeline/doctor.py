"""What this machine can do: instructions, providers, packages, and what to install for the rest."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from ..core.errors import EnvironmentFault
from ..core.targets import cpu_flags, get_target
from ..runtime import ProviderStatus, list_providers
from .findings import Finding
from .machine import allowed_cores, machine_findings
from .requirements import RUNTIMES, installed_version, runtime_finding, stated_bounds, version_findings

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
_SUBSTITUTES = {"onnxruntime": RUNTIMES[1:]}


@dataclass(frozen=True)
class Package:
    """A package that Sardonyx uses.

    Attributes:
        name: The distribution.
        version: What is installed; None where it is missing.
        needed: The versions that Sardonyx works with, such as ``>=1.21``; empty where any will do.
        extra: The extra that brings it; None for what is always there.
        purpose: The verbs that need it.
    """

    name: str
    version: str | None
    needed: str
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
        findings: Versions, limits and settings, each well or with a command that mends it.
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
    findings: tuple[Finding, ...]


def diagnose() -> Diagnosis:
    """Look at this machine."""
    bounds = stated_bounds()
    packages = tuple(
        Package(name, _version(name), bounds.get(name, ""), extra, purpose)
        for name, extra, purpose in _PACKAGES
    )
    providers, faults = _providers(packages)
    target = get_target()
    flags = cpu_flags()
    return Diagnosis(
        version=_version("sardonyx") or "unknown",
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpus=allowed_cores(),
        cpu_features=tuple(f for f in _VECTOR if f in flags),
        target=target.name,
        target_reasons=target.reasons,
        providers=providers,
        packages=packages,
        remedies=_remedies(packages),
        findings=(*version_findings(bounds), runtime_finding(), *faults, *machine_findings()),
    )


def _version(name: str) -> str | None:
    candidates = (name, *_SUBSTITUTES.get(name, ()))
    return next((v for v in map(installed_version, candidates) if v is not None), None)


def _providers(packages: tuple[Package, ...]) -> tuple[tuple[ProviderStatus, ...], list[Finding]]:
    """The providers, and why there are none where ONNX Runtime is installed and cannot be used."""
    if not any(p.name == "onnxruntime" and p.version for p in packages):
        return (), []
    try:
        return list_providers(), []
    except EnvironmentFault as error:
        return (), [Finding("onnxruntime", False, error.cause, error.remedy.removeprefix("run: "))]


def _remedies(packages: tuple[Package, ...]) -> tuple[str, ...]:
    extras = dict.fromkeys(p.extra for p in packages if p.version is None and p.extra)
    verbs = {e: ", ".join(p.purpose for p in packages if p.extra == e and p.version is None) for e in extras}
    return tuple(f'for {verbs[extra]}: pip install "sardonyx[{extra}]"' for extra in extras)
