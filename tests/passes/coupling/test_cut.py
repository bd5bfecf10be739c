"""Taking neurons out of a graph: what is left gives what the masked original gave."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.errors import ModelError
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.base import validate
from sardonyx.passes.coupling import Kept, analyze, cut_classes
from sardonyx.passes.pruning.masking import masked


def run(model: ir.Model, shape: tuple[int, ...]) -> np.ndarray:
    x = np.random.default_rng(7).standard_normal(shape).astype("f4")
    data = CalibrationData.from_arrays({"x": x})
    name = model.graph.outputs[0].name
    return next(iter(OrtRunner(threads=1).run(model, data.batches(len(x)), [name])))[name]


def chosen(model: ir.Model, share: float, seed: int = 0) -> np.ndarray:
    """A seeded choice of neurons of every group, never all of one."""
    random = np.random.default_rng(seed)
    picks = [
        random.choice(g.classes, min(int(share * g.size), g.size - 1), replace=False)
        for g in analyze(model).groups
    ]
    return np.concatenate(picks) if picks else np.zeros(0, dtype=np.int64)


def cut(model: ir.Model, labels: np.ndarray) -> ir.Model:
    copy = model.clone()
    cut_classes(copy, analyze(copy), labels)
    validate(copy)
    return copy


def assert_masked_equals_cut(model: ir.Model, labels: np.ndarray, shape: tuple[int, ...]) -> None:
    coupling = analyze(model)
    expected = run(masked(model, coupling, Kept(coupling, labels)), shape)
    got = run(cut(model, labels), shape)
    assert np.abs(expected - got).max() <= 1e-5 * np.abs(expected).max() + 1e-12


def grow(draw: st.DrawFn, grouped: bool = True) -> ir.Model:
    """A random graph: it branches, joins, concatenates, splits, and (if wished) groups its convolutions."""
    n = Net(seed=draw(st.integers(0, 1000)))
    pool = [n.relu(n.conv(n.x, draw(st.sampled_from([4, 6, 8]))))]
    for _ in range(draw(st.integers(1, 6))):
        a = draw(st.sampled_from(pool[-3:]))
        width = n.widths[a.name]
        kind = draw(
            st.sampled_from(
                ["conv", "depthwise", "grouped", "add", "concat", "split", "shuffle", "gate", "norm"]
            )
        )
        if kind == "conv":
            b = n.relu(n.conv(a, draw(st.sampled_from([2, 4, 6])), k=draw(st.sampled_from([1, 3]))))
        elif kind == "depthwise":
            b = n.conv(a, width, group=width)
        elif kind == "grouped" and grouped:
            b = n.conv(a, width, group=2) if width % 2 == 0 else n.relu(a)
        elif kind == "add":
            b = n.relu(n.add(a, n.conv(draw(st.sampled_from(pool)), width)))
        elif kind == "concat":
            b = n.concat(a, draw(st.sampled_from(pool)))
        elif kind == "split":
            b = n.op("Slice", a, n.ints(0), n.ints(max(width // 2, 1)), n.ints(1))
            n.widths[b.name] = max(width // 2, 1)
        elif kind == "shuffle" and width % 2 == 0:
            wide = n.op("Reshape", a, n.ints(0, 2, width // 2, 8, 8))
            b = n.op("Reshape", n.op("Transpose", wide, perm=[0, 2, 1, 3, 4]), n.ints(0, width, 8, 8))
            n.widths[b.name] = width
        elif kind == "gate":
            squeezed = n.conv(n.relu(n.conv(n.act("GlobalAveragePool", a), 2, k=1)), width, k=1)
            b = n.op("Mul", a, n.act("Sigmoid", squeezed))
            n.widths[b.name] = width
        else:
            b = n.op(
                "BatchNormalization",
                a,
                *(n.const(np.abs(n.random.standard_normal(width)).astype("f4") + 0.1) for _ in range(4)),
            )
            n.widths[b.name] = width
        pool.append(b)
    return n.model(n.head(n.relu(n.conv(pool[-1], 4))))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawn=st.data())
def test_random_graphs_masked_equals_cut(drawn):
    model = grow(drawn.draw)
    share = drawn.draw(st.sampled_from([0.25, 0.5, 0.9]))
    assert_masked_equals_cut(model, chosen(model, share, drawn.draw(st.integers(0, 99))), (2, 3, 8, 8))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(drawn=st.data())
def test_random_graphs_two_cuts_are_one(drawn):
    # A grouped convolution with one lane left is a depthwise one, with classes of another kind.
    model = grow(drawn.draw, grouped=False)
    labels = chosen(model, 0.6)
    first = cut(model, labels[::2])
    # The classes of the graph in between have other labels: find them by what they were called before.
    between = relabel(model, first, labels[::2], labels[1::2])
    assert np.array_equal(run(cut(first, between), (2, 3, 8, 8)), run(cut(model, labels), (2, 3, 8, 8)))


def relabel(before: ir.Model, after: ir.Model, gone: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Labels in a cut graph of classes named by their labels before the cut."""
    old, new = analyze(before), analyze(after)
    found: set[int] = set()
    for name, value in before.graph.initializers.items():
        for axis in range(len(value.const_value.shape)):
            labels, fresh = old.classes_of(value, axis), new.classes_of(after.graph.initializers[name], axis)
            stays = labels[~np.isin(labels, gone)]
            found.update(int(f) for f, label in zip(fresh, stays, strict=True) if label in wanted)
    return np.asarray(sorted(found), dtype=np.int64)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(drawn=st.data())
def test_permuting_a_group_changes_nothing(drawn):
    model = grow(drawn.draw)
    permuted = model.clone()
    coupling = analyze(permuted)
    plain = [g for g in coupling.groups if all(m.per_neuron == 1 for m in g.members)]
    random = np.random.default_rng(0)
    for group in plain:
        order = random.permutation(group.size)
        for member in group.members:
            labels = coupling.classes_of(member.value, member.axis)
            places = np.asarray([np.flatnonzero(labels == label)[0] for label in group.classes])
            index = np.arange(len(labels))
            index[places] = places[order]
            array = np.take(member.value.const_value.numpy(), index, axis=member.axis)
            member.value.const_value = ir.tensor(array, name=member.value.name)
    expected, got = run(model, (2, 3, 8, 8)), run(permuted, (2, 3, 8, 8))
    depends_on_place = any(n.op_type in {"Slice", "Reshape"} for n in model.graph)
    assert depends_on_place or np.abs(expected - got).max() <= 1e-5 * np.abs(expected).max()


def test_dead_channels_can_go_without_a_trace(net):
    n = net()
    a = n.conv(n.x, 8)
    model = n.model(n.head(n.relu(n.conv(n.relu(a), 6))))
    for name in ("w0", "w1"):
        array = np.array(model.graph.initializers[name].const_value.numpy())
        array[[1, 5]] = 0
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    group = next(g for g in analyze(model).groups if g.size == 8)
    expected, got = run(model, (2, 3, 8, 8)), run(cut(model, group.classes[[1, 5]]), (2, 3, 8, 8))
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
    assert_masked_equals_cut(model, labels, (2, 6, 16))
    assert cut(model, labels).graph.initializers["w0"].const_value.shape.numpy() == (16, 24)


def test_mask_really_masks(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 8)), 6))))
    coupling = analyze(model)
    kept = Kept(coupling, chosen(model, 0.5))
    assert np.abs(run(masked(model, coupling, kept), (2, 3, 8, 8)) - run(model, (2, 3, 8, 8))).max() > 1e-3


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
    assert np.array_equal(run(model, (2, 3, 8, 8)), run(same, (2, 3, 8, 8)))


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
    assert_masked_equals_cut(model, group.classes[[0, 4]], (2, 5, 8))
    smaller = cut(model, group.classes[[0, 4]])
    assert smaller.graph.initializers["w2"].const_value.shape.numpy() == (directions, gates * 4, 4)
    assert_masked_equals_cut(model, chosen(model, 0.5), (2, 5, 8))


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
    assert_masked_equals_cut(model, chosen(model, 0.5), (2, 5, 8))


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
    assert_masked_equals_cut(model, analyze(model).groups[0].classes[[1, 4]], (2, 5, 8))


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
    coupling = analyze(model, approximate=True)
    labels = coupling.groups[0].classes[[1, 4, 11]]
    expected = run(masked(model, coupling, Kept(coupling, labels)), (2, 5, 8))
    smaller = model.clone()
    cut_classes(smaller, analyze(smaller, approximate=True), labels)
    validate(smaller)
    np.testing.assert_allclose(run(smaller, (2, 5, 8)), expected, rtol=1e-5, atol=1e-5)
