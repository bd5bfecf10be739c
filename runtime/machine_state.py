"""The machine while something is measured: its clock, who sets it, and how much others want the cores."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

BUSY_RATIO = 0.1
"""Above this share of the cores, what others take deserves a warning."""

CLOCK_RATIO = 0.1
"""Above this relative change of the clock, a measurement deserves a warning."""

_CPUS = Path("/sys/devices/system/cpu")
_CPUINFO = Path("/proc/cpuinfo")
_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Which columns of /proc/stat are idle time and waiting for a disk."""

_COUNTED = 8
"""Columns that count: user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user already."""


@dataclass(frozen=True)
class MachineState:
    """The machine at a moment.

    Attributes:
        frequency_mhz: The clock, the mean over the cores that this process may use; None where it cannot be read.
        governors: Who sets the clock, each once; empty where that cannot be read.
        load_average: Processes that ran or waited over the last minute; None where the system does not count them.
    """

    frequency_mhz: float | None
    governors: tuple[str, ...]
    load_average: float | None


@dataclass(frozen=True)
class Observation:
    """A state, with the counters that two of them are compared by.

    Attributes:
        state: The state.
        clock_s: Seconds of a clock that never goes back.
        busy_s: Seconds that the cores have been busy with anything; None where the system does not tell.
        own_s: Seconds that this process and its children have been busy.
    """

    state: MachineState
    clock_s: float
    busy_s: float | None
    own_s: float


@dataclass(frozen=True)
class Conditions:
    """The machine from the begin of a measurement to its end.

    Attributes:
        begin: Its state at the begin.
        end: Its state at the end.
        seconds: How long it was.
        others_cores: How many cores' time other processes, or a host that holds this machine, took; None where the
            system does not tell.
        warnings: What makes the measurement less certain.
    """

    begin: MachineState
    end: MachineState
    seconds: float
    others_cores: float | None
    warnings: tuple[str, ...]


def allowed_cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def machine_state(cpus: Path = _CPUS, cpuinfo: Path = _CPUINFO) -> MachineState:
    """Look at the machine.

    Args:
        cpus: Where the system describes the cores.
        cpuinfo: What lists them.
    """
    cores = allowed_cores()
    governors = (_text(cpus / f"cpu{core}/cpufreq/scaling_governor") for core in cores)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return MachineState(
        _frequency_mhz(cores, cpus, cpuinfo), tuple(sorted({g for g in governors if g})), load
    )


def observe(stat: Path = _STAT) -> Observation:
    """Look at the machine at the begin or the end of a measurement.

    Args:
        stat: Where the system counts what the cores were busy with.
    """
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return Observation(machine_state(), time.monotonic(), _busy_s(allowed_cores(), stat), own_s)


def conditions_between(begin: Observation, end: Observation, cores: int | None = None) -> Conditions:
    """What happened on the machine between two looks at it.

    Args:
        begin: The earlier look.
        end: The later one.
        cores: Cores that this process may use; what the system says where None.
    """
    cores = cores or len(allowed_cores())
    seconds = end.clock_s - begin.clock_s
    others = None
    if begin.busy_s is not None and end.busy_s is not None and seconds > 0:
        others = max(end.busy_s - begin.busy_s - (end.own_s - begin.own_s), 0.0) / seconds
    warnings = []
    if others is not None and others > BUSY_RATIO * cores:
        warnings.append(f"other work took {others:.2g} of {cores} cores in the meantime: times are too long")
    before, after = begin.state.frequency_mhz, end.state.frequency_mhz
    if before and after and abs(after / before - 1.0) > CLOCK_RATIO:
        warnings.append(f"the clock went from {before:.0f} to {after:.0f} MHz in the meantime")
    return Conditions(begin.state, end.state, seconds, others, tuple(warnings))


def _frequency_mhz(cores: Sequence[int], cpus: Path, cpuinfo: Path) -> float | None:
    khz = [_text(cpus / f"cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    found = [float(text) / 1e3 for text in khz if text.isdigit()]
    if not found:
        lines = [line.partition(":") for line in _text(cpuinfo).splitlines()]
        listed = [float(value) for key, _, value in lines if key.strip() == "cpu MHz"]
        found = [listed[core] for core in cores if core < len(listed)]
    return mean(found) if found else None


def _busy_s(cores: Sequence[int], stat: Path) -> float | None:
    """Seconds that these cores were busy; None where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    names = {f"cpu{core}" for core in cores}
    rows = [line.split() for line in _text(stat).splitlines()]
    counts = [row[1 : 1 + _COUNTED] for row in rows if row and row[0] in names]
    if not counts or not all(number.isdigit() for row in counts for number in row):
        return None
    ticks = sum(int(number) for row in counts for place, number in enumerate(row) if place not in _IDLE)
    return ticks / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return path.read_text(encoding="utf8", errors="replace").strip()
    except OSError:
        return ""
