"""Vectors that shape inference would write down element by element are found before it does."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest
from sardonyx import ModelArtifact
from sardonyx.core.errors import LimitError
from sardonyx.core.inference import infer_lengths
from sardonyx.core.lengths import are_lengths_bounded
from sardonyx.core.limits import Limits

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
BILLION = 1 << 30
LONG = {
    "an input": f"g (float[{BILLION}] x) => (float[N] y) {{ y = Cast <to = 1> (x) }}",
    "a Range": f"g (int64 z) => (float[N] y) <int64 s = {{0}}, int64 e = {{{BILLION}}}, int64 o = {{1}}>"
    "{ r = Range (s, e, o) y = Cast <to = 1> (r) }",
    "an Expand": f"g (float x) => (float[N] y) <int64[1] s = {{{BILLION}}}> {{ e = Expand (x, s) y = Add (e, e) }}",
    "a computed Expand": f"g (float x) => (float[N] y) <int64[1] s = {{{BILLION}}}>"
    "{ t = Identity (s) u = Mul (t, t) e = Expand (x, t) y = Concat <axis = 0> (e, e) }",
    "one behind an operator": f"g (float x) => (float[N] y) <int64[1] s = {{{BILLION}}}>"
    "{ t = Identity (s) e = Expand (x, t) r = Relu (e) y = Squeeze (r) }",
    "one in a branch": f"""g (float x, bool c) => (float[N] y) <int64[1] s = {{{BILLION}}}> {{ y = If (c) <
        then_branch = a () => (float[M] p) {{ e = Expand (x, s) p = Cast <to = 1> (e) }},
        else_branch = b () => (float[M] q) {{ f = Expand (x, s) q = Relu (f) }}> }}""",
}
SHORT = {
    "symbols": "g (float[N] x) => (float[N] y) { y = Cast <to = 1> (x) }",
    "sizes": "g (float[N,3,4] x) => (float[A,B] y) <int64[1] m = {-1}, int64[1] i = {0}>"
    "{ s = Shape (x) b = Gather (s, i) t = Concat <axis = 0> (b, m) y = Reshape (x, t) }",
    "a matrix": f"g (float[1,{BILLION}] x) => (float[A,B] y) {{ y = Cast <to = 1> (x) }}",
    "no elements": f"g (float[{BILLION}] x) => (float[{BILLION}] y) {{ y = Relu (x) }}",
    "a bias": "g (float[N,64] x) => (float[N,64] y) <float[64] b> { y = Add (x, b) }",
}


def is_bounded(text: str) -> bool:
    return are_lengths_bounded(infer_lengths(onnx.parser.parse_model(HEAD + text)), Limits())


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_vector_is_no_proof(text: str) -> None:
    assert not is_bounded(text)


@pytest.mark.parametrize("text", SHORT.values(), ids=SHORT)
def test_what_stays_short_is_proved(text: str) -> None:
    assert is_bounded(text)


@pytest.mark.parametrize(
    "name", ["a Range", *(pytest.param(n, marks=pytest.mark.slow) for n in ("an input", "an Expand"))]
)
def test_the_door_refuses_what_a_child_cannot_infer_either(tmp_path, name: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(HEAD + LONG[name]).SerializeToString())
    with pytest.raises(LimitError, match="inference"):
        ModelArtifact.open(path)


def test_a_function_that_carries_elements_is_left_to_the_child() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "d" : 1]> g (float[N] x) => (float[N] y) { y = d.f (x) }
        <domain: "d", opset_import: ["" : 18]> f (v) => (w) { w = Cast <to = 1> (v) }"""
    assert not are_lengths_bounded(infer_lengths(onnx.parser.parse_model(text)), Limits())
