"""Row 51: dimensions that are free, share a name or have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

SHAPES = {
    "batch only": "N,3,8,8",
    "one name twice": "N,3,side,side",
    "one name thrice": "N,3,N,N",
    "free sides": "N,3,h,w",
}


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> Any:
    """Write a convolution whose input has this shape, with samples for it."""

    def write_net(dims: str, rename: dict[str, str] | None = None) -> None:
        model = parse(
            f"g (float[{dims}] x) => (float[N,8] y) {{\n"
            "a = Conv <pads = [1,1,1,1]> (x, w)  b = Conv(a, v)  p = GlobalAveragePool(b)  y = Flatten(p) }"
        )
        random = np.random.default_rng(0)
        for name, shape in (("w", (8, 3, 3, 3)), ("v", (8, 8, 1, 1))):
            weight = random.normal(size=shape).astype("f4")
            model.graph.initializer.append(numpy_helper.from_array(weight, name))
        for value in (*model.graph.input, *model.graph.output):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_param = (rename or {}).get(dim.dim_param, dim.dim_param)
        write(model)
        samples(x=random.normal(size=(8, 3, 8, 8)).astype("f4"), labels=np.arange(8))

    return write_net


COMMANDS = (
    "inspect m.onnx --coupling",
    "prune m.onnx --calib d.npz --ratio 0.5 --explain",
    "quantize m.onnx --calib d.npz -o q.onnx",
    "bench m.onnx --data d.npz --rounds 5 --batch 1",
)


@pytest.mark.row(51)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_free_dimensions(accepted: Any, net: Any, shape: str, command: str) -> None:
    net(shape)
    accepted(*command.split())


@pytest.mark.row(51)
@pytest.mark.parametrize("name", ["", "?", "-1", "x" * 1000], ids=lambda n: repr(n[:9]))
def test_a_free_dimension_may_have_any_name_or_none(accepted: Any, net: Any, place: Any, name: str) -> None:
    net("N,3,h,w", {"N": name, "h": name})
    accepted("inspect", "m.onnx", "--coupling")
    accepted("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx")
    dims = onnx.load(place / "q.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [0, 3, 0, 0]


@pytest.mark.row(51)
@pytest.mark.parametrize("command", ["bench m.onnx", "profile m.onnx"])
def test_values_for_free_dimensions_are_asked_for(refused: Any, net: Any, command: str) -> None:
    net("N,3,h,w")
    told = refused(*command.split(), says="input x: float32 Nx3xhxw has a free shape")
    assert "--data" in told


@pytest.mark.row(51)
def test_a_name_that_stands_for_two_sizes_is_said(accepted: Any, net: Any, samples: Any) -> None:
    net("N,3,side,side")
    samples(x=np.ones((4, 3, 5, 8), np.float32))
    found = accepted(
        "compare", "m.onnx", "m.onnx", "--data", "d.npz", "--metric", "cosine", "--batch", "1", cpu_s=60
    )
    assert "by one name, 'side', that differ: 5, 8" in found.out


@pytest.mark.row(51)
@pytest.mark.parametrize("shape", [(4, 3, 8), (4, 4, 8, 8), (4, 3, 8, 8, 1)])
def test_samples_must_fit_what_is_not_free(
    refused: Any, net: Any, samples: Any, shape: tuple[int, ...]
) -> None:
    net("N,3,h,w")
    samples(x=np.ones(shape, np.float32))
    refused("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", says="takes x: float32 Nx3xhxw")
