from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto
from sardonyx.core import LimitError, Limits, ModelArtifact, ModelError
from sardonyx.core.tensor_checks import check_tensor


def _tensor(dims, kind=TensorProto.FLOAT, raw=b"", **fields):
    return onnx.TensorProto(
        name="w", dims=dims, data_type=kind, **({"raw_data": raw} if raw else {}), **fields
    )


REFUSED = {
    "negative": (_tensor([-4], raw=b"\0" * 16), "negative dimension -4"),
    "overflow": (_tensor([2**31, 2**31, 2**31], raw=b"\0" * 16), "overflow"),
    "overflow behind a zero": (_tensor([0, 2**40, 2**40]), "overflow"),
    "short": (_tensor([8], raw=b"\0" * 16), "holds 16 bytes"),
    "long": (_tensor([2], raw=b"\0" * 16), "want 8"),
    "empty": (_tensor([2]), "holds 0 entries"),
    "unknown type": (_tensor([4], kind=99, raw=b"\0" * 16), "unknown element type 99"),
    "undefined type": (_tensor([4], kind=0, raw=b"\0" * 16), "unknown element type 0"),
    "twice": (_tensor([1], raw=b"\0" * 4, float_data=[1.0]), "data twice"),
    "other field": (_tensor([1], int32_data=[1]), "FLOAT elements in int32_data"),
    "text as bytes": (_tensor([1], kind=TensorProto.STRING, raw=b"a"), "text as raw bytes"),
    "packed": (_tensor([3], kind=TensorProto.INT4, raw=b"\0" * 3), "want 2"),
    "segment": (_tensor([1], raw=b"\0" * 4, segment={"begin": 0, "end": 1}), "segments"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(model, write, assert_refused, case):
    tensor, words = REFUSED[case]
    made = model()
    made.graph.initializer[0].CopyFrom(tensor)
    assert_refused(write(made), "initializer 'w'", words, kind=ModelError)


def test_refuses_too_many_elements(model, write, assert_refused):
    made = model()
    made.graph.initializer[0].CopyFrom(_tensor([2**20, 2**20], raw=b"\0"))
    assert_refused(write(made), "elements of initializer 'w'", kind=LimitError)


def test_names_the_node_of_a_bad_constant(model, write, assert_refused):
    made = model(
        "g (float[4] x) => (float[4] y) { [k] c = Constant <value = float[4] {1, 2, 3, 4}> ()  y = Add(x, c) }"
    )
    made.graph.node[0].attribute[0].t.dims[0] = 5
    assert_refused(write(made), "attribute 'value' of node 'k'", kind=ModelError)


@pytest.mark.parametrize("kind", [k for k in ir.DataType if k.name not in {"UNDEFINED", "STRING"}], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 5)])
def test_accepts_every_type_as_raw_bytes(kind, shape):
    count = int(np.prod(shape, dtype=int))
    tensor = _tensor(shape, kind=int(kind), raw=b"\0" * -(-count * kind.bitwidth // 8))
    check_tensor(tensor, "w", Limits())


@pytest.mark.parametrize(
    "kind",
    [
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.INT4,
        TensorProto.BOOL,
        TensorProto.COMPLEX64,
        TensorProto.UINT32,
        TensorProto.DOUBLE,
        TensorProto.INT64,
    ],
)
def test_accepts_what_onnx_writes_in_typed_fields(kind):
    check_tensor(onnx.helper.make_tensor("w", kind, [3], [1, 0, 1]), "w", Limits())


def test_accepts_zero_sized_dimensions(write):
    assert ModelArtifact.open(write("g (float[0,3] x) => (float[0,3] y) { y = Relu(x) }")).inputs[
        0
    ].shape == (0, 3)
