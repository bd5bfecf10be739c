"""What a measurement was made on: hardware, versions and threads, without host names or paths."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..core.targets import cpu_flags
from .machine_state import MachineState, allowed_cores, machine_state
from .providers import current_offer

_FLAGS = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
"""Instruction sets that decide which kernels run."""

_PACKAGES = (
    "sardonyx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "numpy",
    "scipy",
    "torch",
)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Environment:
    """What a measurement was made on.

    Attributes:
        cpu: Model of the processor, as it names itself.
        cores: Cores that this process may use.
        flags: Instruction sets that decide which kernels run, as Linux names them; empty where unknown.
        system: Operating system and its release.
        machine: Machine type, such as ``x86_64``.
        python: Version of Python.
        versions: Versions of the packages concerned that are installed.
        providers: Execution providers of the installed ONNX Runtime.
        thread_variables: Environment variables that set thread counts, where set.
        state: The clock, who sets it, and the load, when this was asked.
    """

    cpu: str
    cores: int
    flags: tuple[str, ...]
    system: str
    machine: str
    python: str
    versions: Mapping[str, str]
    providers: tuple[str, ...]
    thread_variables: Mapping[str, str]
    state: MachineState


def environment_fingerprint() -> Environment:
    """Describe this machine for a report.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    offer = current_offer()
    flags = cpu_flags()
    return Environment(
        cpu=_cpu_name(),
        cores=len(allowed_cores()),
        flags=tuple(f for f in _FLAGS if f in flags),
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        python=platform.python_version(),
        versions=_versions(),
        providers=(*offer.built_in, *offer.plugins),
        thread_variables={name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        state=machine_state(),
    )


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
