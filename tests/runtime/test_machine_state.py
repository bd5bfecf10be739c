from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sardonyx.runtime.machine_state import (
    MachineState,
    Observation,
    allowed_cores,
    conditions_between,
    machine_state,
    observe,
)

QUIET = Observation(MachineState(2000.0, ("performance",), 0.1), 10.0, 100.0, 5.0)


def later(busy_s: float | None, own_s: float = 6.0, mhz: float | None = 2000.0) -> Observation:
    return Observation(replace(QUIET.state, frequency_mhz=mhz), 20.0, busy_s, own_s)


@pytest.mark.parametrize(
    ("busy_s", "others", "is_warned"),
    [(101.0, 0.0, False), (102.0, 0.1, False), (111.0, 1.0, True), (100.5, 0.0, False)],
)
def test_what_others_took_is_all_less_our_own(busy_s: float, others: float, is_warned: bool) -> None:
    found = conditions_between(QUIET, later(busy_s), cores=2)
    assert found.others_cores == pytest.approx(others)
    assert any("other work took" in w for w in found.warnings) == is_warned
    assert found.seconds == 10.0


@pytest.mark.parametrize(
    ("mhz", "is_warned"), [(2100.0, False), (3000.0, True), (1000.0, True), (None, False)]
)
def test_a_clock_that_changed_by_much_is_a_warning(mhz: float | None, is_warned: bool) -> None:
    found = conditions_between(QUIET, later(None, mhz=mhz), cores=2)
    assert any("MHz" in w for w in found.warnings) == is_warned
    assert found.others_cores is None


def test_the_clock_and_its_governor_are_read(tmp_path: Path) -> None:
    for core in allowed_cores():
        folder = tmp_path / f"cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("powersave\n")
        (folder / "scaling_cur_freq").write_text("1500000\n")
    found = machine_state(tmp_path, tmp_path / "none")
    assert (found.frequency_mhz, found.governors) == (1500.0, ("powersave",))


def test_the_clock_is_read_from_the_list_of_processors_where_there_is_no_other(tmp_path: Path) -> None:
    lines = [f"processor : {i}\ncpu MHz\t: 2400.5" for i in range(max(allowed_cores()) + 1)]
    (tmp_path / "cpuinfo").write_text("\n".join(lines))
    found = machine_state(tmp_path, tmp_path / "cpuinfo")
    assert (found.frequency_mhz, found.governors) == (2400.5, ())


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system has no ticks")
def test_busy_time_leaves_out_idle_time_and_guests(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("\n".join(f"cpu{core} 10 20 30 4000 500 6 7 8 999 999" for core in allowed_cores()))
    ticks = (10 + 20 + 30 + 6 + 7 + 8) * len(allowed_cores())
    assert observe(stat).busy_s == pytest.approx(ticks / os.sysconf("SC_CLK_TCK"))


@pytest.mark.parametrize("text", ["", "cpu0 ten twenty", "cpu 1 2 3"])
def test_a_system_that_counts_something_else_is_not_guessed_at(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)
    assert observe(tmp_path / "stat").busy_s is None


def test_without_a_description_nothing_is_made_up(tmp_path: Path) -> None:
    found = machine_state(tmp_path, tmp_path / "none")
    assert (found.frequency_mhz, found.governors) == (None, ())
