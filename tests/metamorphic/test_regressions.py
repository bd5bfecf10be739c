"""Graphs on which a relation once failed: it holds now."""

from pathlib import Path

import numpy as np
import pytest
from failing_graphs import FOLDER, read
from quantized_relations import QUANTIZED_RELATIONS
from relations import RELATIONS
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import QuantizeOptions, quantize

KEPT = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_the_relation_holds(path: Path) -> None:
    case = read(path.read_text(encoding="utf8"))
    assert (RELATIONS | QUANTIZED_RELATIONS)[case.relation](case.model, case.seed)


def test_they_are_found() -> None:
    assert KEPT


@pytest.mark.parametrize("text", ["", "net (float[2] x) => (float[2] y) { y = Relu(x) }", "# identity\nnet"])
def test_a_text_without_its_first_line_is_refused(text: str) -> None:
    with pytest.raises(AssertionError, match="RELATION"):
        read(text)


def test_a_layer_in_front_of_a_clip_spends_no_steps_on_what_is_cut() -> None:
    case = read((FOLDER / "range_in_front_of_a_clip.txt").read_text(encoding="utf8"))
    x = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    data = CalibrationData.from_arrays({"x": x})
    for options in (QuantizeOptions(), QuantizeOptions(activation_type="int8", symmetric=True)):
        report = quantize(case.model, data, options, target=get_target("openvino")).report
        front, behind = (next(t for t in report.tensors if t.value == name) for name in ("v0", "v1"))
        assert (front.scale, front.zero_point) == (behind.scale, behind.zero_point)
        assert front.seen_high > behind.seen_high
