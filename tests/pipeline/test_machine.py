"""Findings about a machine, from files and numbers as other machines have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sardonyx.pipeline import machine
from sardonyx.pipeline.machine import (
    available_memory,
    cache_finding,
    cores_finding,
    cpu_limit,
    disk_finding,
    governor_finding,
    governors,
    limit_finding,
    machine_findings,
    memory_finding,
    thread_findings,
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_a_limit_of_a_control_group_is_read(
    tmp_path: Path, files: dict[str, str], limit: float | None
) -> None:
    write(tmp_path, {**files, "own": "3:cpuset:/\n0::/a/b\n"})
    assert cpu_limit(tmp_path, tmp_path / "own") == limit


@pytest.mark.parametrize(
    ("limit", "is_ok", "command"), [(None, True, ""), (2.0, True, ""), (1.5, False, "--threads 1")]
)
def test_a_limit_below_the_cores_is_a_warning(limit: float | None, is_ok: bool, command: str) -> None:
    found = limit_finding(limit, allowed=2)
    assert (found.is_ok, found.command) == (is_ok, command)


@pytest.mark.parametrize(("allowed", "is_ok"), [(8, True), (2, False)])
def test_cores_that_may_not_be_used(allowed: int, is_ok: bool) -> None:
    found = cores_finding(allowed, present=8)
    assert found.is_ok == is_ok
    assert ("2 of 8" in found.text) != is_ok


def test_each_variable_that_sets_threads_is_a_warning() -> None:
    found = thread_findings({"OMP_NUM_THREADS": "1", "KMP_BLOCKTIME": "0", "HOME": "/"})
    assert [f.command for f in found] == ["unset OMP_NUM_THREADS", "unset KMP_BLOCKTIME"]
    assert [f.is_ok for f in thread_findings({})] == [True]


@pytest.mark.parametrize(
    ("found", "is_ok"), [({}, True), ({"performance": 4}, True), ({"powersave": 2, "performance": 2}, False)]
)
def test_a_clock_that_moves_is_a_warning(tmp_path: Path, found: dict[str, int], is_ok: bool) -> None:
    names = [name for name, number in found.items() for _ in range(number)]
    write(tmp_path, {f"cpu{i}/cpufreq/scaling_governor": f"{name}\n" for i, name in enumerate(names)})
    assert governors(tmp_path) == found
    assert governor_finding(governors(tmp_path)).is_ok == is_ok


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"meminfo": "MemTotal: 900 kB\nMemAvailable:  500 kB\n"}, 512000),
        ({"meminfo": "MemAvailable: 500 kB\n", "memory.max": "3000\n", "memory.current": "1000\n"}, 2000),
        ({"memory/memory.limit_in_bytes": "3000\n", "memory/memory.usage_in_bytes": "4000\n"}, 0),
    ],
)
def test_free_memory_is_the_least_that_anything_leaves(
    tmp_path: Path, files: dict[str, str], free: int | None
) -> None:
    write(tmp_path, files)
    assert available_memory(tmp_path / "meminfo", tmp_path, tmp_path / "none") == free


@pytest.mark.parametrize(("free", "is_ok"), [(None, True), (2**33, True), (2**29, False)])
def test_little_memory_is_a_warning(free: int | None, is_ok: bool) -> None:
    assert memory_finding(free).is_ok == is_ok


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_DISK_BYTES", 0)
    assert disk_finding(tmp_path).is_ok
    monkeypatch.setattr(machine, "LEAST_DISK_BYTES", 2**80)
    assert "TMPDIR" in disk_finding(tmp_path).command
    with pytest.raises(FileNotFoundError):
        disk_finding(tmp_path / "none")


def test_the_cache_is_weighed(tmp_path: Path) -> None:
    write(tmp_path, {"times/a.json": "x" * 500_000, "b.json": "y" * 600_000})
    assert "2 files, 1.1 MB" in cache_finding(tmp_path).text
    assert cache_finding(tmp_path / "not" / "yet").is_ok


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = cache_finding(tmp_path / "file" / "cache")
    assert not found.is_ok
    assert "SARDONYX_CACHE" in found.command


def test_this_machine_is_looked_at_as_a_whole() -> None:
    subjects = {finding.subject for finding in machine_findings()}
    assert subjects == {"cores", "CPU limit", "threads", "CPU clock", "memory", "disk", "cache"}
