from __future__ import annotations

from typing import Any

import pytest
from sardonyx.core import ModelArtifact
from sardonyx.core.errors import UsageError
from sardonyx.runtime import integer_placement, optimized_nodes


def test_fused_operators_are_read_back(quantized: ModelArtifact) -> None:
    operators = [(n.op_type, n.domain) for n in optimized_nodes(quantized)]
    assert ("QuantizeLinear", "") in operators
    assert any(op == "QLinearConv" for op, _ in operators)
    assert operators.count(("DequantizeLinear", "")) == 1


def test_integer_kernels_and_reasons_for_float(quantized: ModelArtifact) -> None:
    found = {p.node: p for p in integer_placement(quantized)}
    assert (found["first"].is_integer, found["first"].reason) == (True, "an integer kernel")
    assert found["second"].reason == "its input is quantized and its weight is not"
    assert not found["second"].is_integer
    assert found["q_in"].reason == "converts between float and integers"


def test_a_float_model_has_no_integer_node(linear: Any) -> None:
    assert [p.reason for p in integer_placement(linear())] == ["its inputs are not quantized"] * 2


def test_an_unknown_provider_is_refused(linear: Any) -> None:
    with pytest.raises(UsageError, match="unknown execution provider"):
        optimized_nodes(linear(), "abacus")
