"""Every operator case that comes with the onnx wheel: those that it generates, and those that it holds as files."""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests
from operator_forms import fed_inputs

STORED_KINDS = ("simple", "pytorch-converted", "pytorch-operator")


@functools.cache
def all_cases() -> tuple[Any, ...]:
    """The cases with model and data, generated ones first; their names are unique."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generated = collect_testcases(None)
    return (*generated, *stored_cases())


def stored_cases() -> tuple[Any, ...]:
    """The cases that the wheel holds as files, named after their kind."""
    return tuple(_read(case) for kind in STORED_KINDS for case in load_model_tests(kind=kind))


def sampled(cases: tuple[Any, ...], share: int) -> tuple[Any, ...]:
    """One case of so many, drawn with a fixed seed."""
    order = np.random.default_rng(0).permutation(len(cases))
    return tuple(cases[index] for index in order[: len(cases) // share])


def _read(case: Any) -> Any:
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    inputs, outputs = fed_inputs(model), list(model.graph.output)
    data = [
        (_tensors(part, "input", inputs), _tensors(part, "output", outputs))
        for part in sorted(folder.glob("test_data_set_*"))
    ]
    return replace(case, name=f"{case.kind}: {case.name}", model=model, data_sets=data)


def _tensors(folder: Path, what: str, values: list[onnx.ValueInfoProto]) -> list[Any]:
    """The protos of a data set, in the order of the values; a sequence as a list of tensors."""
    return [_content((folder / f"{what}_{i}.pb").read_bytes(), value) for i, value in enumerate(values)]


def _content(message: bytes, value: onnx.ValueInfoProto) -> Any:
    if value.type.HasField("sequence_type"):
        return list(onnx.SequenceProto.FromString(message).tensor_values)
    return onnx.TensorProto.FromString(message)
