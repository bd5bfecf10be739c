"""The self-test of a bundle: arrays on disk, the rule of what passes, and the tolerance that is chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.core.errors import DataError, ExpectationError, LimitError
from sardonyx.core.limits import Limits, use_limits
from sardonyx.core.tensors import Array, Feed
from sardonyx.deploy import Tolerance, choose_tolerance, run_self_test, write_self_test
from sardonyx.deploy import self_test as module

CLOSE = Tolerance(absolute=0.1, relative=0.0)
SCORES = np.eye(4, 3, dtype=np.float32)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    inputs = {"x": np.arange(6, dtype=">i4").reshape(3, 2), "flag": np.array([True, False, True])}
    outputs = {"y": np.asfortranarray(np.arange(12, dtype=np.float16).reshape(3, 4))}
    test = write_self_test(tmp_path, inputs, outputs, batch=1, tolerance=CLOSE)
    assert (tmp_path / "self_test/inputs.0.bin").read_bytes() == inputs["x"].astype("<i4").tobytes()
    for tensor in (*test.inputs, *test.outputs):
        np.testing.assert_array_equal(
            module.read_tensor(tmp_path, tensor), {**inputs, **outputs}[tensor.name]
        )


def run_with(folder: Path, wanted: Array, got: Array, *, batch: int = 1, agree: float = 1.0) -> str:
    """What a self-test says of a model that gives something else than is wanted."""
    inputs = {"index": np.arange(len(wanted))}
    test = write_self_test(folder, inputs, {"y": wanted}, batch=batch, tolerance=CLOSE, labels_agree=agree)
    return str(run_self_test(folder, test, lambda feed: {"y": got[feed["index"]]}))


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_batches_of_any_size_pass(tmp_path: Path, batch: int) -> None:
    told = run_with(tmp_path, SCORES, SCORES + np.float32(0.05), batch=batch)
    assert told == "self-test: 4 of 4 samples, largest difference 0.05"


def off(sample: int, score: int, value: float) -> Array:
    """The scores, one of them changed."""
    changed = SCORES.copy()
    changed[sample, score] = value
    return changed


@pytest.mark.parametrize(
    ("got", "agree", "passed"),
    [
        (off(0, 1, 0.5), 1.0, 3),
        (off(0, 1, 0.5), 0.75, 4),
        (off(0, 1, 0.5), 0.8, 3),
        (off(0, 1, 1.5), 0.5, 3),
        (off(0, 1, np.nan), 0.5, 3),
        (off(0, 1, np.inf), 0.5, 3),
    ],
)
def test_a_classifier_may_be_further_off_where_it_answers_the_same(
    tmp_path: Path, got: Array, agree: float, passed: int
) -> None:
    assert run_with(tmp_path, SCORES, got, agree=agree).startswith(f"self-test: {passed} of 4 samples")


def test_integers_are_equal_or_wrong(tmp_path: Path) -> None:
    wanted = np.arange(8).reshape(4, 2)
    assert " 3 of 4 " in run_with(tmp_path, wanted, wanted + (wanted == 5), agree=0.0)


@pytest.mark.parametrize(
    ("got", "complaint"),
    [
        (SCORES.astype(np.float64), "float64"),
        (SCORES[:, :2], r"(1, 2), not float32 (1, 3)"),
    ],
)
def test_another_type_or_shape_fails_with_the_reason(tmp_path: Path, got: Array, complaint: str) -> None:
    told = run_with(tmp_path, SCORES, got)
    assert told.startswith("self-test: 0 of 4")
    assert complaint in told


def test_rows_that_are_no_samples_stand_and_fall_by_run(tmp_path: Path) -> None:
    def run(feed: Feed) -> Feed:
        return {"y": np.full(3, feed["x"][0, 0])}

    inputs = {"x": np.arange(4, dtype=np.float32).reshape(4, 1)}
    wanted = {"y": np.repeat(np.array([0, 2], np.float32), 3)}
    test = write_self_test(tmp_path, inputs, wanted, batch=2, tolerance=CLOSE)
    assert run_self_test(tmp_path, test, run).passed == 4
    assert run_self_test(tmp_path, test, lambda feed: {"y": run(feed)["y"] * 2}).passed == 2
    assert "no output 'y'" in str(run_self_test(tmp_path, test, lambda feed: {}))


@pytest.mark.parametrize(
    "array", [np.array(1.0), np.array(["a"]), np.array([None]), np.zeros(2, np.complex64), [1.0]]
)
def test_what_no_client_reads_is_refused(tmp_path: Path, array: Array) -> None:
    with pytest.raises(ExpectationError, match="output 'y'"):
        write_self_test(tmp_path, {"x": SCORES}, {"y": array}, batch=1, tolerance=CLOSE)


def test_arrays_that_no_device_holds_are_refused(tmp_path: Path) -> None:
    with use_limits(Limits(self_test_bytes=20)), pytest.raises(LimitError, match="96 bytes"):
        write_self_test(tmp_path, {"x": SCORES}, {"y": SCORES}, batch=1, tolerance=CLOSE)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"0", lambda data: b""])
def test_a_file_of_another_size_is_refused(tmp_path: Path, change: type) -> None:
    test = write_self_test(tmp_path, {"x": SCORES}, {"y": SCORES}, batch=1, tolerance=CLOSE)
    path = tmp_path / test.inputs[0].file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=r"inputs\.0\.bin"):
        run_self_test(tmp_path, test, lambda feed: {"y": feed["x"]})


def floats() -> ir.Model:
    net = Net()
    return net.model(net.relu(net.x))


def rounded(scale: float) -> ir.Model:
    """A model whose output is dequantized."""
    net = Net()
    step = net.floats(scale)
    return net.model(net.op("DequantizeLinear", net.op("QuantizeLinear", net.x, step), step))


def output_of(model: ir.Model, array: Array) -> dict[str, Array]:
    return {str(model.graph.outputs[0].name): array}


@pytest.mark.parametrize(
    ("model", "difference", "absolute", "agree"),
    [
        (floats(), 0.0, 2e-4, 1.0),
        (floats(), 1e-3, 4 * (1e-3 - 2e-4), 1.0),
        (rounded(0.25), 0.0, 0.25, 0.5),
        (rounded(0.25), 0.5, 4 * (0.5 - 2e-4), 0.5),
    ],
)
def test_the_tolerance_follows_what_is_measured(
    model: ir.Model, difference: float, absolute: float, agree: float
) -> None:
    expected = np.full((2, 3), 2.0)
    found = choose_tolerance(model, output_of(model, expected), output_of(model, expected + difference))
    assert found.tolerance.absolute == pytest.approx(absolute, rel=2e-3)
    assert (found.tolerance.relative, found.labels_agree) == (1e-4, agree)


def test_sixteen_bit_floats_have_three_digits() -> None:
    net = Net(dtype=ir.DataType.FLOAT16)
    model = net.model(net.relu(net.x))
    array = output_of(model, np.ones((2, 3), np.float16))
    assert choose_tolerance(model, array, array).tolerance.relative == 1e-2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_cannot_be_compared_are_refused(value: float) -> None:
    good = output_of(floats(), np.ones((1, 2), np.float32))
    bad = {name: array * np.float32(value) for name, array in good.items()}
    with pytest.raises(ExpectationError, match="NaN or infinite"):
        choose_tolerance(floats(), bad, good)


@pytest.mark.parametrize(("got", "passed"), [(off(0, 0, np.inf), 4), (SCORES, 3)])
def test_where_infinity_is_expected_only_infinity_passes(tmp_path: Path, got: Array, passed: int) -> None:
    assert f" {passed} of 4 " in run_with(tmp_path, off(0, 0, np.inf), got, agree=1.0)
