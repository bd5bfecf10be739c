from __future__ import annotations

import pytest
from sardonyx.core import LimitError, Limits, ModelArtifact, ModelError
from sardonyx.core.functions import check_functions

CALL = "g (float[4] x) => (float[4] y) { y = d.f0(x) }\n"
FUNCTION = '<opset_import: ["" : 18, "d" : 1], domain: "d"> f%d (a) => (b) { %s }\n'


def _doubling(depth: int) -> str:
    """Functions that each call the next one twice: 2^(depth - 1) nodes when expanded."""
    bodies = [f"p = d.f{i + 1}(a)  b = d.f{i + 1}(p)" for i in range(depth - 1)]
    return CALL + "".join(FUNCTION % (i, body) for i, body in enumerate([*bodies, "b = Relu(a)"]))


def _chain(depth: int) -> str:
    bodies = [f"b = d.f{i + 1}(a)" for i in range(depth - 1)]
    return CALL + "".join(FUNCTION % (i, body) for i, body in enumerate([*bodies, "b = Relu(a)"]))


@pytest.mark.parametrize("depth", [1, 4, 10])
def test_counts_the_expansion_exactly(model, depth):
    assert check_functions(model(_doubling(depth)), Limits()) == 2 ** (depth - 1)


@pytest.mark.parametrize("depth", [22, 60])
def test_refuses_a_function_bomb(write, assert_refused, depth):
    assert_refused(write(_doubling(depth)), "functions expanded", "the limit is 200,000", kind=LimitError)


def test_refuses_an_unused_bomb(write, assert_refused):
    text = _doubling(30).replace("y = d.f0(x)", "y = Relu(x)")
    assert_refused(write(text), "functions expanded", kind=LimitError)


@pytest.mark.parametrize("body", ["b = d.f0(a)", "p = d.f1(a)  b = d.f0(p)"])
def test_refuses_recursion(write, assert_refused, body):
    assert_refused(
        write(CALL + FUNCTION % (0, body) + FUNCTION % (1, "b = d.f0(a)")),
        "call themselves",
        "d::f0",
        kind=ModelError,
    )


def test_refuses_a_long_chain_of_calls(write, assert_refused):
    assert_refused(write(_chain(3000)), "depth of functions: 3,000", kind=LimitError)


def test_functions_are_left_as_they_are(write):
    loaded = ModelArtifact.open(write(_doubling(3))).load()
    assert sorted(key[1] for key in loaded.functions) == ["f0", "f1", "f2"]


def test_refuses_a_function_defined_twice(write, assert_refused):
    body = FUNCTION % (0, "b = Relu(a)")
    assert_refused(write(CALL + body + body), "defined twice", kind=ModelError)


def test_refuses_a_dangling_value_in_a_function(write, assert_refused):
    assert_refused(
        write(CALL + FUNCTION % (0, "b = Add(a, q)")), "'q' is not produced", "function 'f0'", kind=ModelError
    )


def test_an_output_without_an_element_type_is_refused(write, model, assert_refused):
    made = model(_chain(2))
    made.graph.output[0].type.tensor_type.elem_type = 0
    assert_refused(write(made), "value 'y' has no element type", kind=ModelError)
