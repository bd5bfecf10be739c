"""What of this machine decides about measuring: cores, limits, clock, threads, memory, disk and the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.cache import cache_folder
from ..runtime import machine_state
from .findings import Finding

_GIB = 2**30

LEAST_DISK_BYTES = 2 * _GIB
"""Below this a calibration that is kept on disk may not fit."""

LEAST_MEMORY_BYTES = _GIB
"""Below this loading and calibrating a model of usual size may fail."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_PLACES = (
    "OMP_WAIT_POLICY",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
)
_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")

# Control groups of the second and of the first kind; the first states no limit as a number that none reaches.
_MEMORY = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def machine_findings() -> list[Finding]:
    """Look at all of it."""
    return [
        cores_finding(allowed_cores(), os.cpu_count() or 1),
        limit_finding(cpu_limit(), allowed_cores()),
        *thread_findings(os.environ),
        governor_finding(governors()),
        memory_finding(available_memory()),
        disk_finding(Path(tempfile.gettempdir())),
        cache_finding(cache_folder()),
    ]


def allowed_cores() -> int:
    """How many cores this process may use."""
    return len(machine_state.allowed_cores())


def cores_finding(allowed: int, present: int) -> Finding:
    """Whether the process may use every core that the machine has."""
    if allowed < present:
        text = f"this process may use {allowed} of {present} cores"
        return Finding("cores", False, text, f"--threads {allowed}")
    return Finding("cores", True, f"all {present} cores may be used")


def cpu_limit(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """How many cores' time control groups give to this process; None where they set no limit.

    Args:
        root: Where control groups are mounted.
        own: What names the process's own group.
    """
    limits = []
    for folder in _groups(root, own):
        quota = _words(folder / "cpu.max")
        if len(quota) == 2 and quota[0] != "max":
            limits.append(int(quota[0]) / int(quota[1]))
        old = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
        if len(old) == 2 and int(old[0]) > 0:
            limits.append(int(old[0]) / int(old[1]))
    return min(limits, default=None)


def limit_finding(limit: float | None, allowed: int) -> Finding:
    """Whether a limit on CPU time stops the process in the middle of a measurement."""
    if limit is None:
        return Finding("CPU limit", True, "no control group limits the CPU time")
    if limit >= allowed:
        return Finding("CPU limit", True, f"control groups give {limit:g} cores' time for {allowed} cores")
    text = f"control groups give {limit:g} cores' time and {allowed} cores: runs are stopped in between"
    return Finding("CPU limit", False, text, f"--threads {max(int(limit), 1)}")


def thread_findings(variables: Mapping[str, str]) -> list[Finding]:
    """Variables that set threads or where they run, and so distort what is measured.

    Args:
        variables: The environment.
    """
    found = []
    for name in _THREADS:
        if name in variables:
            text = f"{name}={variables[name]} limits numpy and torch; ONNX Runtime goes by --threads"
            found.append(Finding("threads", False, text, f"unset {name}"))
    for name in _PLACES:
        if name in variables:
            text = f"{name}={variables[name]} decides where threads run and wait"
            found.append(Finding("threads", False, text, f"unset {name}"))
    return found or [Finding("threads", True, "no variable sets threads")]


def governors(root: Path = _CPUS) -> Counter[str]:
    """How many cores run under each governor of the clock; empty where none can be read."""
    words = (_words(path) for path in root.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return Counter(found[0] for found in words if found)


def governor_finding(found: Mapping[str, int]) -> Finding:
    """Whether the clock stays where it is while something is measured."""
    if not found:
        return Finding("CPU clock", True, "the governor cannot be read here")
    if set(found) == {"performance"}:
        return Finding("CPU clock", True, "the governor is performance on every core")
    text = "the governor is " + ", ".join(f"{name} on {number} cores" for name, number in found.items())
    return Finding("CPU clock", False, text, "sudo cpupower frequency-set -g performance")


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Bytes of memory that this process may still take; None where that cannot be read.

    Args:
        meminfo: What the system has.
        root: Where control groups are mounted.
        own: What names the process's own group.
    """
    free = []
    words = _words(meminfo)
    if "MemAvailable:" in words:
        free.append(int(words[words.index("MemAvailable:") + 1]) * 1024)
    for folder in _groups(root, own):
        for most, used in _MEMORY:
            words = [*_words(folder / most), *_words(folder / used)]
            if len(words) == 2 and words[0] != "max":
                free.append(max(int(words[0]) - int(words[1]), 0))
    return min(free, default=None)


def memory_finding(free: int | None) -> Finding:
    """Whether there is memory to work with."""
    if free is None:
        return Finding("memory", True, "what is free cannot be read here")
    if free < LEAST_MEMORY_BYTES:
        return Finding("memory", False, f"{free / _GIB:.1f} GiB are free", "--memory 512MB (of quantize)")
    return Finding("memory", True, f"{free / _GIB:.1f} GiB are free")


def disk_finding(folder: Path) -> Finding:
    """Whether there is room for temporary files."""
    free = shutil.disk_usage(folder).free
    text = f"{free / _GIB:.1f} GiB are free for temporary files in {folder}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", False, text, "export TMPDIR=/a/folder/with/more/room")
    return Finding("disk", True, text)


def cache_finding(folder: Path) -> Finding:
    """Whether measurements can be kept, and how much room they take."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        text = f"the cache {folder} cannot be written: nothing measured is kept"
        return Finding("cache", False, text, "export SARDONYX_CACHE=/a/folder/of/yours")
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Finding("cache", True, f"{len(files)} files, {size / 1e6:.1f} MB in {folder}")


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """The folders of the process's control groups, each with those around it."""
    yield from (root, root / "cpu", root / "cpu,cpuacct", root / "memory")
    try:
        lines = own.read_text(encoding="utf8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inner = root / controllers / path.lstrip("/") if controllers else root / path.lstrip("/")
        while inner != root and root in inner.parents:
            yield inner
            inner = inner.parent


def _words(path: Path) -> list[str]:
    """The words of a small file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf8").split()
    except OSError:
        return []
