"""A chain of four operators and fifty samples, small enough to be computed by hand."""

import numpy as np
import onnx
import onnx_ir as ir

_TEXT = """<ir_version: 9, opset_import: ["" : 18]>
g (float[N,4] x) => (float[N,3] y) { a = MatMul(x, w)  b = Add(a, c)  r = Relu(b)  y = Sqrt(r) }"""
_RANDOM = np.random.default_rng(0)
W, C, X = (_RANDOM.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (3,), (50, 4)))


def chain() -> ir.Model:
    """The model; ``W`` and ``C`` are its weights, and ``X`` holds samples for it."""
    made = onnx.parser.parse_model(_TEXT)
    made.graph.initializer.extend(
        [onnx.numpy_helper.from_array(W, "w"), onnx.numpy_helper.from_array(C, "c")]
    )
    return ir.from_proto(made)
