"""Graphs on which something failed, as text files that are kept and tried again.

A file names the relation and the seed that failed, and holds the graph in ONNX's own text form. A float weight that it
declares without values is drawn: standard normal numbers by the generator whose seed is the CRC-32 of the weight's name,
over the square root of the elements behind the first axis.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx
import onnx_ir as ir
from sardonyx.core.shapes import infer_shapes

FOLDER = Path(__file__).parent / "regressions"
FEW = 8
"""Weights of no more elements are written as they are: an axis, a bound, a slope."""
_HEADER = re.compile(r"# (?P<relation>\w+), seed (?P<seed>\d+)(: (?P<reason>.*))?\n")


@dataclass(frozen=True)
class Case:
    """A graph, the relation that failed on it, and with which seed."""

    model: ir.Model
    relation: str
    seed: int


def write(model: ir.Model, relation: str, seed: int, *, is_seeded: bool = True) -> str:
    """The text of a graph; with its own weights where the drawn ones would not do."""
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    held = list(proto.graph.initializer)
    del proto.graph.initializer[:]
    for tensor in held:
        if is_seeded and tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) > FEW:
            declared = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            proto.graph.value_info.append(declared)
        else:
            proto.graph.initializer.append(tensor)
    return f"# {relation}, seed {seed}\n{onnx.printer.to_text(proto)}\n"


def read(text: str) -> Case:
    """Take the text of a graph apart; the weights without values are drawn."""
    header = _HEADER.match(text)
    assert header, "the first line is '# RELATION, seed NUMBER'"
    proto = onnx.parser.parse_model(text[header.end() :])
    made = {name for node in proto.graph.node for name in node.output}
    for declared in proto.graph.value_info:
        if declared.name not in made:
            shape = [d.dim_value for d in declared.type.tensor_type.shape.dim]
            proto.graph.initializer.append(
                onnx.numpy_helper.from_array(drawn(declared.name, shape), declared.name)
            )
    del proto.graph.value_info[:]
    model = ir.from_proto(proto)
    infer_shapes(model)
    return Case(model, header["relation"], int(header["seed"]))


def drawn(name: str, shape: list[int]) -> np.ndarray:
    """The weight of a name."""
    numbers = np.random.default_rng(crc32(name.encode())).standard_normal(shape)
    return (numbers / math.sqrt(max(math.prod(shape[1:]), 1))).astype(np.float32)


def text_of_failure(model: ir.Model, relation: str, seed: int, fails) -> str:
    """The text with drawn weights where the graph fails with these too, else with its own."""
    seeded = write(model, relation, seed)
    return seeded if fails(read(seeded).model, seed) else write(model, relation, seed, is_seeded=False)


def keep(text: str, relation: str) -> None:
    """Write a failing graph beside the others where FUZZ_KEEP is set; the last one is the smallest."""
    if os.environ.get("FUZZ_KEEP"):
        (FOLDER / f"found_{relation}.txt").write_text(text, encoding="utf8")
