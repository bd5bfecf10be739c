"""Gradients of each family of operators, against differences of the outputs, in double precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx.core.errors import ModelError
from sardonyx.training.graph import TrainableGraph

Constant = Sequence[int] | np.ndarray | None

CASES: dict[str, tuple[str, Sequence[tuple[int, ...]], Sequence[Constant], dict[str, Any]]] = {
    "elu": ("Elu", [(2, 3)], [], {"alpha": 1.3}),
    "gelu": ("Gelu", [(2, 3)], [], {"approximate": "tanh"}),
    "hard_sigmoid": ("HardSigmoid", [(2, 3)], [], {}),
    "erf": ("Erf", [(2, 3)], [], {}),
    "mish": ("Mish", [(2, 3)], [], {}),
    "softplus": ("Softplus", [(2, 3)], [], {}),
    "selu": ("Selu", [(2, 3)], [], {}),
    "clip": ("Clip", [(2, 3)], [np.float64(-0.7), np.float64(0.6)], {}),
    "add": ("Add", [(2, 3), (3,)], [], {}),
    "div": ("Div", [(2, 3), (2, 1)], [], {}),
    "max": ("Max", [(2, 3), (2, 3), (3,)], [], {}),
    "prelu": ("PRelu", [(2, 3, 4), (3, 1)], [], {}),
    "gemm": ("Gemm", [(3, 2), (4, 3), (4,)], [], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "linear": ("Gemm", [(2, 3), (4, 3), (4,)], [], {"transB": 1}),
    "matmul": ("MatMul", [(2, 3, 4), (4, 2)], [], {}),
    "einsum": ("Einsum", [(2, 3), (3, 4)], [], {"equation": "ij,jk->ik"}),
    "conv": ("Conv", [(1, 2, 5, 5), (4, 1, 3, 3), (4,)], [], {"group": 2, "pads": [1, 0, 2, 1]}),
    "conv_same": ("Conv", [(1, 2, 5), (3, 2, 2), (3,)], [], {"auto_pad": "SAME_UPPER", "strides": [2]}),
    "conv_transpose": ("ConvTranspose", [(1, 2, 3, 3), (2, 2, 3, 3), (2,)], [], {"strides": [2, 2]}),
    "conv_transpose_cut": ("ConvTranspose", [(1, 1, 3), (1, 2, 3)], [], {"strides": [2], "pads": [0, 1]}),
    "max_pool": ("MaxPool", [(1, 2, 5, 5)], [], {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]}),
    "average_pool": (
        "AveragePool",
        [(1, 2, 5, 5)],
        [],
        {"kernel_shape": [2, 2], "ceil_mode": 1, "strides": [2, 2]},
    ),
    "lp_pool": ("LpPool", [(1, 2, 4, 4)], [], {"kernel_shape": [2, 2], "p": 3}),
    "global_average": ("GlobalAveragePool", [(2, 3, 2, 2)], [], {}),
    "batch_norm": ("BatchNormalization", [(2, 3, 4), (3,), (3,)], [np.zeros(3), np.ones(3) * 2], {}),
    "instance_norm": ("InstanceNormalization", [(2, 3, 4), (3,), (3,)], [], {}),
    "layer_norm": ("LayerNormalization", [(2, 3, 4), (3, 4), (3, 4)], [], {"axis": 1}),
    "rms_norm": ("RMSNormalization", [(2, 3, 4), (4,)], [], {}),
    "group_norm": ("GroupNormalization", [(2, 4, 3), (4,), (4,)], [], {"num_groups": 2}),
    "lrn": ("LRN", [(1, 5, 2, 2)], [], {"size": 3}),
    "lp_norm": ("LpNormalization", [(2, 3)], [], {"p": 2}),
    "softmax": ("Softmax", [(2, 3, 2)], [], {"axis": 1}),
    "log_softmax": ("LogSoftmax", [(2, 3)], [], {}),
    "reshape": ("Reshape", [(2, 6)], [[0, 3, -1]], {}),
    "slice": ("Slice", [(4, 5)], [[4, 0], [-9, 5], [0, 1], [-1, 2]], {}),
    "pad_reflect": ("Pad", [(2, 4)], [[0, 2, 0, 1]], {"mode": "reflect"}),
    "concat": ("Concat", [(2, 3), (2, 2)], [], {"axis": 1}),
    "expand": ("Expand", [(1, 3)], [[2, 1]], {}),
    "tile": ("Tile", [(2, 3)], [[2, 1]], {}),
    "depth_to_space": ("DepthToSpace", [(1, 4, 2, 2)], [], {"blocksize": 2, "mode": "CRD"}),
    "gather": ("Gather", [(4, 3)], [np.array([[0, -1], [2, 0]])], {"axis": 0}),
    "gather_nd": ("GatherND", [(2, 3, 2)], [np.array([[0, 1], [1, 2]])], {}),
    "reduce_mean": ("ReduceMean", [(2, 3, 2)], [[1]], {"keepdims": 0}),
    "reduce_max": ("ReduceMax", [(2, 3)], [[-1]], {}),
    "reduce_l2": ("ReduceL2", [(2, 3)], [[1]], {}),
    "reduce_log_sum_exp": ("ReduceLogSumExp", [(2, 3)], [[1]], {}),
    "reduce_product": ("ReduceProd", [(2, 3)], [[0, 1]], {}),
    "cumsum": ("CumSum", [(2, 3)], [np.array(1)], {"reverse": 1, "exclusive": 1}),
    "resize_linear": ("Resize", [(1, 1, 3, 3)], [None, None, [1, 1, 5, 4]], {"mode": "linear"}),
    "resize_cubic": ("Resize", [(1, 1, 4, 4)], [None, None, [1, 1, 6, 3]], {"mode": "cubic", "antialias": 1}),
    "grid_sample": ("GridSample", [(1, 1, 3, 3), (1, 2, 2, 2)], [], {"mode": "linear"}),
    "attention": (
        "Attention",
        [(1, 4, 3, 2), (1, 2, 3, 2), (1, 2, 3, 2)],
        [],
        {"is_causal": 1, "softcap": 2.0},
    ),
    "roi_align": (
        "RoiAlign",
        [(1, 2, 5, 5)],
        [np.array([[0.3, 0.4, 4.1, 3.7]]), np.array([0])],
        {"output_height": 2},
    ),
    "col2im": ("Col2Im", [(1, 8, 4)], [[3, 3], [2, 2]], {}),
    "rotary": ("RotaryEmbedding", [(1, 2, 3, 4), (1, 3, 2), (1, 3, 2)], [], {"interleaved": 1}),
    "swiglu": ("SwiGLU", [(2, 3), (2, 3)], [], {}),
    "linear_attention": (
        "LinearAttention",
        [(1, 3, 4), (1, 3, 4), (1, 3, 4), (1, 2, 2, 2), (1, 3, 2), (1, 3, 2)],
        [],
        {"q_num_heads": 2, "kv_num_heads": 2},
    ),
    "causal_convolution": ("CausalConvWithState", [(1, 2, 4), (2, 1, 3), (2,)], [], {"activation": "silu"}),
    "dft": ("DFT", [(1, 6, 1)], [], {"onesided": 1}),
    "cross_entropy": ("SoftmaxCrossEntropyLoss", [(3, 4)], [np.array([0, 3, 1])], {}),
    "scatter_nd": ("ScatterND", [(4, 2)], [np.array([[1], [3]]), np.ones((2, 2))], {"reduction": "add"}),
    "scatter_elements": ("ScatterElements", [(2, 3)], [np.array([[0, 2]]), np.ones((1, 2))], {"axis": 1}),
    "top_k": ("TopK", [(2, 5)], [[2]], {}),
    "lstm": ("LSTM", [(3, 2, 2), (1, 12, 2), (1, 12, 3), (1, 24)], [], {"hidden_size": 3}),
    "lstm_clip": ("LSTM", [(3, 2, 2), (1, 12, 2), (1, 12, 3), (1, 24)], [], {"hidden_size": 3, "clip": 9.0}),
    "gru": (
        "GRU",
        [(3, 2, 2), (1, 9, 2), (1, 9, 3), (1, 18)],
        [],
        {"hidden_size": 3, "linear_before_reset": 1},
    ),
    "gru_first": ("GRU", [(3, 2, 2), (1, 9, 2), (1, 9, 3), (1, 18)], [], {"hidden_size": 3}),
    "rnn": ("RNN", [(3, 2, 2), (1, 3, 2), (1, 3, 3), (1, 6)], [], {"hidden_size": 3, "direction": "reverse"}),
}
"""Operator, shapes of what is differentiated, constants after it, attributes."""


def build(
    kind: str, shapes: Sequence[tuple[int, ...]], constants: Sequence[Constant], attributes: dict[str, Any]
) -> TrainableGraph:
    """One node; what is differentiated are inputs of the graph."""
    inputs = [ir.val(f"x{i}", ir.DataType.DOUBLE, shape) for i, shape in enumerate(shapes)]
    held = [
        None if c is None else ir.val(f"c{i}", const_value=ir.tensor(np.asarray(c), name=f"c{i}"))
        for i, c in enumerate(constants)
    ]
    node = ir.node(kind, [*inputs, *held], attributes, num_outputs=1, name="node")
    node.outputs[0].name = "y"
    initializers = [v for v in held if v is not None]
    graph = ir.Graph(
        inputs, node.outputs, nodes=[node], initializers=initializers, opset_imports={"": 23}, name="g"
    )
    return TrainableGraph(ir.Model(graph, ir_version=11))


def apart(shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Seeded values, no two of them so near that a small step would change their order."""
    count = sum(int(np.prod(s)) for s in shapes)
    values = np.random.default_rng(0).permutation(np.linspace(-1.5, 1.5, count) + 0.011)
    parts = np.split(values, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    return [torch.tensor(p.reshape(s), requires_grad=True) for p, s in zip(parts, shapes, strict=True)]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_gradients_are_those_of_differences(case: tuple[Any, Any, Any, Any]) -> None:
    kind, shapes, constants, attributes = case
    assert torch.autograd.gradcheck(build(kind, shapes, constants, attributes), apart(shapes))


PLAIN = "Abs Acos Asin Asinh Atan Ceil Cos Cosh Exp Floor HardSwish LeakyRelu Neg Reciprocal Relu Sigmoid Sin Sinh Softsign Sqrt Swish Tan Tanh"


@pytest.mark.parametrize("kind", PLAIN.split())
def test_gradients_of_plain_functions(kind: str) -> None:
    x = torch.tensor([0.11, 0.31, 0.52, 0.93], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(build(kind, [(4,)], [], {}), [x])


@pytest.mark.parametrize(
    ("kind", "attributes", "reason"),
    [
        ("GridSample", {"mode": "wild"}, "unknown"),
        ("LSTM", {"hidden_size": 2, "direction": "up"}, "direction"),
        ("RNN", {"hidden_size": 2, "activations": ["Wild"]}, "activation"),
        ("Resize", {"mode": "wild"}, "unknown"),
        ("Bernoulli", {}, "no function"),
    ],
)
def test_what_cannot_be_computed_is_refused_when_the_graph_is_built(
    kind: str, attributes: dict[str, Any], reason: str
) -> None:

    with pytest.raises(ModelError, match=rf"node 'node' \({kind}\).*{reason}"):
        build(kind, [(1, 2, 2), (1, 2, 2)], [], attributes)
