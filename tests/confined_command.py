"""Running the command line in a process of its own under limits, forked from one that has the imports already."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_S = 10
"""Processor time that a refusal may take; wall time would measure what else the machine does."""
WALL_S = 240.0
"""After this a command hangs."""
MEMORY_BYTES = 1 << 30
"""Memory that a refusal may take, the interpreter and its libraries included."""
_ADDRESSES = 6 << 30
_FORKING = multiprocessing.get_context("forkserver")
# `sardonyx.pipeline` itself loads nothing before it is used, so the modules behind it are named.
_LOADED = ("pipeline.run", "pipeline.optimization.run", "pipeline.profiling", "pipeline.healing", "cli.app")
_FORKING.set_forkserver_preload([*(f"sardonyx.{name}" for name in _LOADED), "onnxruntime", "scipy.stats"])


@dataclass(frozen=True)
class Outcome:
    """What a command left behind.

    Attributes:
        code: Exit code; negative where a signal ended it.
        out: What it printed on standard output.
        err: What it printed on standard error.
        peak_bytes: The most memory that it held at one time; 0 where a signal ended it.
    """

    code: int
    out: str
    err: str
    peak_bytes: int


def run_command(
    arguments: Sequence[object],
    folder: Path,
    scratch: Path,
    environment: Mapping[str, str] | None = None,
    cpu_s: int = CPU_S,
) -> Outcome:
    """Run ``sardonyx`` with these arguments in a folder.

    Args:
        arguments: What follows the command's name.
        folder: The current folder of the command.
        scratch: A folder for what it prints, outside of what is watched.
        environment: Variables beside those of this process.
        cpu_s: Processor time after which the kernel ends it.

    Raises:
        TimeoutError: It hangs.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    given = [str(a) for a in arguments]
    child = _FORKING.Process(
        target=_run, args=(given, str(folder), str(scratch), dict(environment or {}), cpu_s)
    )
    child.start()
    child.join(WALL_S)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise TimeoutError(f"sardonyx {' '.join(given)} still ran after {WALL_S:g} s")
    texts = [(scratch / name).read_bytes().decode("utf8", "surrogateescape") for name in ("out", "err")]
    peak = scratch / "peak"
    outcome = Outcome(child.exitcode, *texts, int(peak.read_text()) if peak.exists() else 0)
    shutil.rmtree(scratch)
    return outcome


def _run(arguments: list[str], folder: str, scratch: str, environment: dict[str, str], cpu_s: int) -> None:
    """In the child: redirect, bound, run, and write down the peak."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{scratch}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf8"), os.fdopen(2, "w", encoding="utf8")
    os.environ.update(environment)
    os.chdir(folder)
    used = _kilobytes("VmSize") * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + _ADDRESSES, used + _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    from sardonyx.cli.app import main

    try:
        main(arguments)
    finally:
        Path(scratch, "peak").write_text(str(_kilobytes("VmHWM") * 1024))


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
