"""Taking neurons out of a graph: what is left gives what the masked original gave."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from cuts import chosen, cut, prove, run
from sardonyx.core.errors import ModelError
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.coupling import Kept, analyze, cut_classes
from sardonyx.passes.pruning.masking import masked


def test_dead_channels_can_go_without_a_trace(net):
    n = net()
    a = n.conv(n.x, 8)
    model = n.model(n.head(n.relu(n.conv(n.relu(a), 6))))
    for name in ("w0", "w1"):
        array = np.array(model.graph.initializers[name].const_value.numpy())
        array[[1, 5]] = 0
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    group = next(g for g in analyze(model).groups if g.size == 8)
    expected, got = run(model), run(cut(model, group.classes[[1, 5]]))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_attention_heads_are_cut_with_their_scale_kept(net):
    n = net(("N", 6, 16))
    packed = n.op("MatMul", n.x, n.rand(16, 48))
    shaped = n.op("Transpose", n.op("Reshape", packed, n.ints(0, 6, 3, 4, 4)), perm=[2, 0, 3, 1, 4])
    q, k, v = (
        n.op("Squeeze", n.op("Slice", shaped, n.ints(i), n.ints(i + 1), n.ints(0)), n.ints(0))
        for i in range(3)
    )
    scores = n.op("Softmax", n.op("MatMul", q, n.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    mixed = n.op("Transpose", n.op("MatMul", scores, v), perm=[0, 2, 1, 3])
    model = n.model(n.op("MatMul", n.op("Reshape", mixed, n.ints(0, 6, 16)), n.rand(16, 5)))
    labels = analyze(model).groups[0].classes[[0, 2]]
    prove(model, labels)
    assert cut(model, labels).graph.initializers["w0"].const_value.shape.numpy() == (16, 24)


def test_mask_really_masks(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 8)), 6))))
    coupling = analyze(model)
    kept = Kept(coupling, chosen(model, 0.5))
    assert np.abs(run(masked(model, coupling, kept)) - run(model)).max() > 1e-3


@pytest.mark.parametrize("kind", ["frozen", "empty"])
def test_what_may_not_be_cut_is_refused(net, kind):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.x, 8))))
    coupling = analyze(model)
    labels = coupling.frozen[0].classes[:1] if kind == "frozen" else coupling.groups[0].classes
    with pytest.raises(ModelError, match="frozen" if kind == "frozen" else "empty"):
        cut_classes(model, coupling, labels)


def test_nothing_cut_changes_nothing(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.x, 8))))
    same = cut(model, np.zeros(0, dtype=np.int64))
    infer_shapes(same)
    assert np.array_equal(run(model), run(same))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("directions", [1, 2])
def test_hidden_units_leave_every_gate_and_both_directions(net, kind, directions):
    gates, hidden = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 6
    n = net(("N", 5, 8))
    steps = n.op("Transpose", n.op("MatMul", n.x, n.rand(8, 7)), perm=[1, 0, 2])
    weights = [n.rand(directions, gates * hidden, 7), n.rand(directions, gates * hidden, hidden)]
    bias = n.rand(directions, 2 * gates * hidden)
    attributes = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
    states = n.op(kind, steps, *weights, bias, **attributes)
    last = n.op("Reshape", n.op("Transpose", states, perm=[0, 2, 1, 3]), n.ints(5, -1, directions * hidden))
    model = n.model(n.op("MatMul", last, n.rand(directions * hidden, 4)))
    group = next(g for g in analyze(model).groups if g.size == hidden)
    prove(model, group.classes[[0, 4]])
    smaller = cut(model, group.classes[[0, 4]])
    assert smaller.graph.initializers["w2"].const_value.shape.numpy() == (directions, gates * 4, 4)
    prove(model, chosen(model, 0.5))


@pytest.mark.parametrize("equation", ["bsi,io->bso", "bsi,oi->bos", "bsi,io->ob"])
def test_einsum_sums_over_the_letters_that_the_output_lacks(net, equation):
    n = net(("N", 5, 8))
    weight = n.rand(6, 12) if ",io" in equation else n.rand(12, 6)
    wide = n.op("Relu", n.op("MatMul", n.x, n.rand(8, 6)))
    made = n.op("Einsum", wide, weight, equation=equation)
    axes = {"bso": None, "bos": [0, 2, 1], "ob": [1, 0]}[equation.partition("->")[2]]
    made = made if axes is None else n.op("Transpose", made, perm=axes)
    model = n.model(n.op("MatMul", n.op("Relu", made), n.rand(12, 3)))
    assert sorted(g.size for g in analyze(model).groups) == [6, 12]
    prove(model, chosen(model, 0.5))


@pytest.mark.parametrize("equation", ["...i,io->...o", "bii,io->bo", "bsi,io"])
def test_an_equation_that_is_not_followed_freezes(net, equation):
    n = net(("N", 8, 8))
    model = n.model(
        n.op("Einsum", n.op("Relu", n.op("MatMul", n.x, n.rand(8, 8))), n.rand(8, 4), equation=equation)
    )
    assert {g.frozen.code for g in analyze(model).frozen} >= {"einsum"}


def test_a_shape_computed_for_expand_keeps_what_a_cut_left(net):
    n = net(("N", 5, 8))
    token = n.rand(1, 1, 6)
    first = n.op("Slice", n.op("Shape", n.x), n.ints(0), n.ints(1))
    tokens = n.op("Expand", token, n.op("Concat", first, n.ints(1, 6), axis=0))
    joined = n.op("Concat", tokens, n.op("MatMul", n.x, n.rand(8, 6)), axis=1)
    model = n.model(n.op("MatMul", n.op("Relu", joined), n.rand(6, 3)))
    assert [g.size for g in analyze(model).groups] == [6]
    prove(model, analyze(model).groups[0].classes[[1, 4]])


def test_channels_in_several_groups_have_a_name_each(net):
    n = net()
    a = n.conv(n.x, 8)
    part = n.op("Slice", a, n.ints(0), n.ints(4), n.ints(1))
    n.widths[part.name] = 4
    model = n.model(n.head(n.add(n.conv(part, 4), part)), n.head(n.relu(a)))
    names = [g.name for g in analyze(model).all_groups]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["LayerNormalization", "decomposed", "ReduceMean"])
@pytest.mark.parametrize("opset", [17, 20])
def test_approximate_cuts_are_proven_against_the_statistics_of_what_stays(net, kind, opset):
    n = net(("N", 5, 8), opset=opset)
    wide = n.op("Relu", n.op("MatMul", n.x, n.rand(8, 12)))
    axes = {"axes": [-1]} if opset < 18 else {}
    last = [] if opset < 18 else [n.ints(-1)]
    if kind == "LayerNormalization":
        made = n.op(kind, wide, n.rand(12), n.rand(12), axis=-1, epsilon=1e-4)
    elif kind == "ReduceMean":
        made = n.op("Mul", wide, n.op("Sigmoid", n.op(kind, wide, *last, keepdims=1, **axes)))
    else:
        centred = n.op("Sub", wide, n.op("ReduceMean", wide, *last, keepdims=1, **axes))
        variance = n.op("ReduceMean", n.op("Mul", centred, centred), *last, keepdims=1, **axes)
        deviation = n.op("Sqrt", n.op("Add", variance, n.const(np.float32(1e-4))))
        made = n.op("Mul", n.op("Div", centred, deviation), n.rand(12))
    model = n.model(n.op("MatMul", made, n.rand(12, 3)))
    assert [g.size for g in analyze(model).groups] == []
    labels = analyze(model, approximate=True).groups[0].classes[[1, 4, 11]]
    prove(model, labels, approximate=True)


def test_no_axis_is_left_empty_where_every_group_keeps_a_neuron(net):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    part = n.slice(a, 6, 8)  # what reads these two channels has no weights
    scaled = n.op("Mul", a, n.op("Sigmoid", n.listed("ReduceSum", part, 13, axes=[1])[0]))
    n.widths[scaled.name] = 8
    model = n.model(n.head(scaled))
    assert sorted(g.size for g in analyze(model).groups) == [2, 6]
    prove(model, chosen(model, 0.99))


def test_a_neuron_that_fills_an_axis_alone_is_frozen_by_name(net):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    gated = n.op("Mul", a, n.op("Sigmoid", n.slice(a, 0, 1)))
    n.widths[gated.name] = 8
    model = n.model(n.head(gated))
    coupling = analyze(model)
    assert [g.size for g in coupling.groups] == [7]
    (alone,) = [g for g in coupling.frozen if g.frozen.code == "whole-axis"]
    with pytest.raises(ModelError, match="goes as a whole"):
        cut_classes(model, coupling, alone.classes)


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_a_stream_through_grouped_layers_goes_at_the_same_place_in_every_group(net, kind):
    n = net()
    stream = n.relu(n.conv(n.x, 8))
    for _ in range(2):
        grouped = n.op(kind, stream, n.rand(8, 4, 1, 1), n.rand(8), group=2)
        stream = n.op("Add", stream, n.op("Relu", grouped))
    n.widths[stream.name] = 8
    model = n.model(n.head(stream))
    assert [g.size for g in analyze(model).groups] == [4]
    prove(model, chosen(model, 0.5))
