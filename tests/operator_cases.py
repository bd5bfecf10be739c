"""The operator cases that the onnx wheel generates, run through the trainable graph."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node as generated
import onnx_ir as ir
import torch
from onnx.backend.test.runner import Runner
from sardonyx.core.errors import ModelError
from sardonyx.training.graph import TrainableGraph
from sardonyx.training.graph.dtypes import CARRIERS, from_array, to_array

_ROOT = f"{generated.__name__}."
MODULES = sorted(
    m.name.removeprefix(_ROOT) for m in pkgutil.walk_packages(generated.__path__, _ROOT) if not m.ispkg
)
"""One module for an operator, or a few."""


ROUNDED_ONCE = frozenset({"test_attention_4d_causal_fp16", "test_attention_4d_causal_fp16_expanded"})
"""Cases in float16 whose expectation rounds within the Softmax, where torch rounds its result alone.

They are compared to two units in the last place, as the runner of the wheel does for bfloat16.
"""

NOISY = frozenset({"test_dft_inverse", "test_dft_inverse_opset19"})
"""Cases whose expectation holds 2e-7 where the exact value, and torch's, is zero: it is computed in single precision.

They are compared to one part in ten million of the largest value.
"""


@dataclass
class Outcome:
    """What became of some cases.

    Attributes:
        passed: Names of cases whose outputs are equal.
        refused: What was refused when the graph was built, and why, by case.
        failed: What was not equal, or raised, by case.
    """

    passed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@functools.cache
def run_module(name: str) -> Outcome:
    """Run the cases of a module."""
    outcome = Outcome()
    for case in cases_of(name):
        try:
            graph = TrainableGraph(ir.from_proto(case.model))
        except ModelError as error:
            outcome.refused[case.name] = error.cause
            continue
        try:
            wrong = first_difference(case, graph)
        except ModelError as error:
            wrong = str(error)
        if wrong:
            outcome.failed[case.name] = wrong
        else:
            outcome.passed.append(case.name)
    return outcome


def cases_of(name: str) -> Iterator[Any]:
    """The cases of a module; importing it makes them."""
    before = len(generated._NodeTestCases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(_ROOT + name)
    yield from generated._NodeTestCases[before:]


def first_difference(case: Any, graph: TrainableGraph) -> str:
    """What differs from the expected outputs; empty where nothing does."""
    for inputs, expected in case.data_sets:
        types = [v.type.tensor_type.elem_type for v in case.model.graph.input]
        fed = [as_torch(value, ir.DataType(t)) for value, t in zip(inputs, types, strict=True)]
        with torch.no_grad():
            got = graph(*fed)
        outputs = got if isinstance(got, tuple) else (got,)
        if len(outputs) != len(expected):
            return f"{len(outputs)} outputs, not {len(expected)}"
        for value, own, wanted in zip(case.model.graph.output, outputs, expected, strict=True):
            wrong = difference(own, wanted, ir.DataType(value.type.tensor_type.elem_type), case)
            if wrong:
                return f"{value.name}: {wrong}"
    return ""


def as_torch(value: Any, dtype: ir.DataType) -> Any:
    """An input as torch takes it; a list is a sequence."""
    if isinstance(value, list):
        return [torch.from_numpy(np.array(v)) for v in value]
    if isinstance(value, onnx.TensorProto):
        value = ir.from_proto(value).numpy()
    return from_array(np.asarray(value), dtype)


def difference(own: Any, wanted: Any, dtype: ir.DataType, case: Any) -> str:
    """Compare one output, shape and type included."""
    if isinstance(wanted, list):
        pairs = zip(own, wanted, strict=True)
        return next((d for a, b in pairs if (d := difference(a, b, ir.DataType.UNDEFINED, case))), "")
    if isinstance(wanted, onnx.TensorProto):
        wanted = ir.from_proto(wanted).numpy()
    wanted = np.asarray(wanted)
    if dtype != ir.DataType.UNDEFINED and own.dtype != CARRIERS[dtype]:
        return f"type {own.dtype}, not {CARRIERS[dtype]}"
    array = own.detach().numpy() if dtype == ir.DataType.UNDEFINED else to_array(own, dtype)
    if array.shape != wanted.shape:
        return f"shape {array.shape}, not {wanted.shape}"
    try:
        Runner.assert_similar_outputs([wanted], [array], *tolerances(case, wanted))
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    return ""


def tolerances(case: Any, wanted: np.ndarray) -> tuple[float, float]:
    """The case's own, relative and absolute; the runner gives two units in the last place to bfloat16 by itself."""
    absolute = 1e-7 * float(np.abs(wanted).max()) if case.name in NOISY else case.atol
    return 2**-9 if case.name in ROUNDED_ONCE else case.rtol, absolute
