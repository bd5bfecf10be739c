from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sardonyx.core.errors import ModelError
from sardonyx.runtime.cold_cache import cache_walk, last_level_bytes
from sardonyx.runtime.pace import pace_model, relative_to_pace
from sardonyx.runtime.sessions import open_session
from sardonyx.runtime.tails import percentile_ms, samples_per_s


@pytest.mark.parametrize(
    ("runs", "percent", "found"),
    [(9, 90, None), (10, 90, 9.0), (99, 99, None), (100, 99, 99.0), (1000, 99, 990.0), (30, 99, None)],
)
def test_a_percentile_needs_a_run_above_it(runs: int, percent: int, found: float | None) -> None:
    assert percentile_ms(np.arange(1.0, runs + 1), percent) == found


def test_the_rate_counts_slow_runs() -> None:
    assert samples_per_s(np.array([[1.0, 1.0], [1.0, 5.0]]), 8) == pytest.approx(4000.0)


def test_the_largest_cache_is_found(tmp_path: Path) -> None:
    for index, size in enumerate(("32K", "512K", "16M", "odd")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}/size").write_text(f"{size}\n")
    assert last_level_bytes(tmp_path) == 16 * 2**20
    assert last_level_bytes(tmp_path / "none") is None


def test_a_walk_writes_every_line_of_twice_the_cache() -> None:
    walk = cache_walk(4096)
    (lines,) = (c.cell_contents for c in walk.__closure__ or () if isinstance(c.cell_contents, np.ndarray))
    walk()
    walk()
    assert lines.base.nbytes == 8192
    np.testing.assert_array_equal(lines, np.full(128, 2))


def test_the_pace_is_the_same_everywhere() -> None:
    first, second = pace_model(), pace_model()
    assert first.content == second.content
    x = np.linspace(-1, 1, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)
    y = open_session(first, threads=1).run({"x": x})["y"]
    assert y.shape == (64, 64)
    assert np.isfinite(y).all()
    assert float(np.abs(y).sum()) > 0


def test_the_pace_is_counted_in_stretches_as_long_as_a_run() -> None:
    pace = np.ones((3, 12))
    pace[:, ::4] = 3.0  # every fourth run is interrupted, and so is each stretch of four
    assert relative_to_pace(np.full((3, 1), 4.0), pace) == pytest.approx(4.0 / 1.5)
    assert relative_to_pace(np.full((3, 2), 1.0), pace) == pytest.approx(1.0)
    assert relative_to_pace(np.full((3, 1), 60.0), np.ones((3, 12))) == pytest.approx(
        60.0
    )  # longer than there is
    assert relative_to_pace(np.full((3, 40), 0.25), np.ones((3, 12))) == pytest.approx(0.25)


def test_the_pace_goes_through_the_door_that_models_go_through() -> None:
    with pytest.raises(ModelError):
        type(pace_model()).open(__file__)
