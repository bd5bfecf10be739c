"""Calibration: one run for all, the same result however it is cut, interrupted or kept."""

import re

import numpy as np
import onnx_ir as ir
import pytest
from chain import C, W, X
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.calib_data.calibration import calibrate
from sardonyx.core import DataError, LimitError, ModelError, UsageError

NAMES = ["x", "a", "r", "y"]
KEPT = 4 * (8 * 4096 + 64 + 4 * 10 + 256)
"""Bytes of the statistics of four values of which at most ten elements wait."""

INTERRUPTED = r"a calibration that was interrupted at \d+% of 50 samples goes on from there"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sardonyx.calib_data.calibration._CHECKPOINT_SECONDS", 0.0)
    return tmp_path / "cache" / "calibration"


class Mortal(OrtRunner):
    """Counts its runs, and dies after some batches."""

    def __init__(self, batches=10**9):
        super().__init__(threads=1)
        self.left, self.runs = batches, []

    def run(self, model, feeds, outputs, *, optimize=False):
        self.runs.append(list(outputs))
        for values in super().run(model, feeds, outputs, optimize=optimize):
            if self.left == 0:
                raise RuntimeError("the power is gone")
            self.left -= 1
            yield values


def flat(found):
    """All that statistics hold, for comparison to the last bit."""
    return {
        name: (
            *(s.low, s.high, s.average_low, s.average_high, s.samples, s.elements, s.step, s.axis),
            *(s.channel_low.tolist(), s.channel_high.tolist()),
            *(s.histogram.width, s.histogram.zeros, s.histogram.counts.tolist()),
        )
        for name, s in found.items()
    }


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_statistics_are_those_of_the_values(graph, data, batch_size):
    seen = calibrate(graph, data, NAMES, channel_axes={"a": 1, "x": -1}, batch_size=batch_size)
    a = X.astype(np.float64) @ W
    assert list(seen) == NAMES
    assert (seen["x"].low, seen["x"].high) == (X.min(), X.max())
    np.testing.assert_allclose(seen["a"].channel_high, a.max(0), rtol=1e-5)
    np.testing.assert_allclose(seen["x"].channel_low, X.min(0))
    assert seen["y"].high == pytest.approx(np.sqrt(max((a + C).max(), 0)), rel=1e-5)
    assert seen["r"].histogram.zeros == (a + C <= 0).sum()
    assert {s.samples for s in seen.values()} == {50}


def test_one_run_serves_every_value(graph, data):
    runner = Mortal()
    calibrate(graph, data, [*NAMES, "a"], runner=runner)
    assert runner.runs == [NAMES, NAMES]


def test_nothing_asked_for_is_nothing_run(graph, data):
    assert calibrate(graph, data, [], runner=Mortal(0)) == {}


def test_a_small_cap_splits_the_run_and_changes_nothing(graph, data, monkeypatch):
    monkeypatch.setattr("sardonyx.calib_data.calibration._PENDING_ELEMENTS", 40)
    runner = Mortal()
    whole = calibrate(graph, data, NAMES, batch_size=50)
    parts = calibrate(graph, data, NAMES, batch_size=50, memory_bytes=KEPT + 24, runner=runner)
    assert len(runner.runs) == 4
    for name in NAMES:
        assert (parts[name].low, parts[name].high) == pytest.approx((whole[name].low, whole[name].high))
        np.testing.assert_array_equal(parts[name].histogram.counts, whole[name].histogram.counts)


def test_the_seed_chooses_the_elements(graph, data, monkeypatch):
    monkeypatch.setattr("sardonyx.calib_data.statistics.HISTOGRAM_ELEMENTS", 40)
    one, again, other = (flat(calibrate(graph, data, ["x"], seed=seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert sum(one["x"][-1]) <= 40


def test_progress_and_the_graph(graph, data):
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    told = []
    calibrate(graph, data, ["a"], batch_size=20, progress=lambda done, total: told.append((done, total)))
    assert told == [(20, 50), (40, 50), (50, 50)]
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before


def test_a_source_that_fills_the_same_array_again(graph):
    class Reused:
        names = ("x",)
        held = np.zeros((10, 4), np.float32)

        def __len__(self):
            return 50

        def read(self, indices):
            part = self.held[: len(indices)]
            part[:] = X[list(indices)]
            return {"x": part}

    data = CalibrationData(Reused(), tuple(range(50)))
    fresh = CalibrationData.from_arrays({"x": X})
    reused, expected = (calibrate(graph, d, NAMES, batch_size=10) for d in (data, fresh))
    assert flat(reused) == flat(expected)


@pytest.mark.parametrize("rows", [X[:1], np.zeros((3, 4), np.float32)], ids=["one", "zeros"])
def test_few_and_dull_samples(graph, rows):
    seen = calibrate(graph, CalibrationData.from_arrays({"x": rows}), NAMES, batch_size=2)
    assert seen["x"].samples == len(rows)
    assert seen["x"].constant == (not rows.any())


@pytest.mark.parametrize(
    ("memory_bytes", "batches"),
    [
        *((1 << 30, after) for after in (0, 1, 2, 5, 8)),
        *((KEPT + 48 + 30, after) for after in (1, 20, 51, 80, 100)),
    ],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(graph, data, monkeypatch, memory_bytes, batches):
    monkeypatch.setattr("sardonyx.calib_data.calibration._PENDING_ELEMENTS", 40)
    monkeypatch.setattr("sardonyx.calib_data.statistics.HISTOGRAM_ELEMENTS", 60)
    options = {"channel_axes": {"a": 1}, "batch_size": 7, "memory_bytes": memory_bytes, "seed": 3}
    expected = flat(calibrate(graph, data, NAMES, **options))
    with pytest.raises(RuntimeError, match="power"):
        calibrate(graph, data, NAMES, key="k", runner=Mortal(batches), **options)
    told, notes = [], []
    seen = calibrate(
        graph, data, NAMES, key="k", progress=lambda *at: told.append(at), note=notes.append, **options
    )
    assert flat(seen) == expected
    assert all(re.fullmatch(INTERRUPTED, note) for note in notes)
    assert len(notes) == (batches > 1)
    assert told[-1][0] == told[-1][1]


def test_statistics_are_kept_and_it_is_said(graph, data):
    notes = []
    options = {"channel_axes": {"a": 1}, "key": "k", "note": notes.append}
    first = flat(calibrate(graph, data, NAMES, **options))
    assert notes == []
    again = calibrate(graph, data, NAMES, runner=Mortal(0), **options)
    assert flat(again) == first
    assert notes == ["the statistics of an earlier calibration on the same 50 samples are used again"]


def test_another_version_of_the_runtime_is_another_key(graph, data, monkeypatch):
    calibrate(graph, data, NAMES, key="k")
    monkeypatch.setattr("onnxruntime.__version__", "99.0.1")
    with pytest.raises(RuntimeError, match="power"):
        calibrate(graph, data, NAMES, key="k", runner=Mortal(0))


@pytest.mark.parametrize(
    "change", [{"key": "other"}, {"seed": 1}, {"batch_size": 3}, {"channel_axes": {"a": 1}}, {"names": ["x"]}]
)
def test_other_settings_are_another_key(graph, data, change):
    settings = {"key": "k", "names": NAMES, **change}
    calibrate(graph, data, NAMES, key="k")
    with pytest.raises(RuntimeError, match="power"):
        calibrate(graph, data, settings.pop("names"), runner=Mortal(0), **settings)


def test_other_samples_are_another_key(graph, data):
    calibrate(graph, data, NAMES, key="k")
    with pytest.raises(RuntimeError, match="power"):
        calibrate(graph, data.subset(49), NAMES, key="k", runner=Mortal(0))


@pytest.mark.parametrize(
    "damage",
    [b"", b"PK\x03\x04 nothing", lambda c: c[: len(c) // 2], lambda c: c.replace(b"numbers", b"numerals")],
)
def test_a_damaged_file_is_collected_again(graph, data, cache, damage):
    expected, notes = flat(calibrate(graph, data, NAMES, key="k")), []
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()) if callable(damage) else damage)
    assert flat(calibrate(graph, data, NAMES, key="k", note=notes.append)) == expected
    (note,) = notes
    assert note.startswith("the statistics of an earlier calibration are damaged and are collected anew: ")
    assert "savez" not in note
    assert flat(calibrate(graph, data, NAMES, key="k", runner=Mortal(0))) == expected


def test_a_folder_that_cannot_be_written(graph, data, cache):
    cache.parent.write_text("a file")
    notes = []
    assert calibrate(graph, data, ["x"], key="k", batch_size=10, note=notes.append)["x"].samples == 50
    (note,) = notes  # and not one for each batch
    assert note.startswith("the statistics are not kept for the next calibration: ")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_is_named(graph, bad):
    values = X.copy()
    values[33, 2] = bad
    with pytest.raises(DataError, match="batch 3: input 'x' holds NaN or infinity"):
        calibrate(graph, CalibrationData.from_arrays({"x": values}), ["a"], batch_size=10)


def test_a_value_that_is_not_finite_is_named(graph, data):
    graph.graph.initializers["c"].const_value = ir.tensor(np.full(3, np.inf, np.float32), name="c")
    with pytest.raises(DataError, match="batch 0: r holds NaN or infinity"):
        calibrate(graph, data, ["a", "r"])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"values": ["nothing"]}, ModelError, "'nothing' is not in the graph"),
        ({"memory_bytes": 100}, LimitError, "the statistics take"),
        ({"channel_axes": {"a": 2}}, UsageError, "a has 2 axes"),
    ],
)
def test_refusals(graph, data, options, error, text):
    with pytest.raises(error, match=text):
        calibrate(graph, data, **{"values": NAMES, **options})
