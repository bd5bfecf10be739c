"""Which neurons go together, operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.core.errors import ModelError
from sardonyx.passes.coupling import analyze


def widths(model):
    return sorted(group.size for group in analyze(model).groups)


def reasons(model):
    return {group.frozen.code for group in analyze(model).frozen}


def test_a_chain_has_one_group_a_layer(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 8)), 12))))
    assert widths(model) == [8, 12]
    assert reasons(model) == {"graph-input", "graph-output"}


def test_a_residual_add_makes_one_group_of_two_layers(net):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    model = n.model(n.head(n.add(a, n.conv(n.relu(n.conv(a, 6)), 8))))
    group = next(g for g in analyze(model).groups if g.size == 8)
    assert {(m.value.name, m.axis) for m in group.members if len(m.value.const_value.shape) == 4} == {
        ("w0", 0),
        ("w2", 1),
        ("w4", 0),
    }


def test_concat_keeps_the_groups_of_its_inputs_apart(net):
    n = net()
    joined = n.concat(n.relu(n.conv(n.x, 4)), n.relu(n.conv(n.x, 6)))
    assert widths(n.model(n.head(n.conv(joined, 8)))) == [4, 6, 8]


def test_a_concat_with_itself_ties_both_halves(net):
    n = net()
    a = n.relu(n.conv(n.x, 4))
    model = n.model(n.head(n.conv(n.concat(a, a), 8)))
    group = next(g for g in analyze(model).groups if g.size == 4)
    assert {m.per_neuron for m in group.members if m.axis == 1} == {2}


def test_depthwise_passes_channels_through(net):
    n = net()
    a = n.conv(n.relu(n.conv(n.x, 8)), 8, group=8)
    assert widths(n.model(n.head(a))) == [8]


@pytest.mark.parametrize("group", [2, 4])
def test_grouped_convolution_is_cut_at_the_same_place_in_every_group(net, group):
    n = net()
    model = n.model(n.head(n.conv(n.relu(n.conv(n.x, 8)), 8, group=group)))
    assert widths(model) == [8 // group, 8 // group]


def test_flatten_takes_a_block_of_features_for_each_channel(net):
    n = net(("N", 3, 4, 4))
    flat = n.op("Flatten", n.relu(n.conv(n.x, 6)))
    model = n.model(n.op("Gemm", flat, n.rand(96, 5), n.rand(5)))
    group = next(g for g in analyze(model).groups)
    assert {m.per_neuron for m in group.members} == {1, 16}


def test_split_and_slice_follow_stretches(net):
    n = net()
    a = n.relu(n.conv(n.x, 10))
    part = n.op("Slice", a, n.ints(2), n.ints(2**62), n.ints(1))
    n.widths[part.name] = 8
    # Two channels end in nothing: they are no group of the convolution that reads the others.
    assert widths(n.model(n.head(n.conv(part, 4)))) == [4, 8]


def test_heads_are_cut_whole_across_query_key_and_value(net):
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
    group = analyze(model).groups[0]
    assert (group.size, {m.per_neuron for m in group.members}) == (4, {12, 4})


@pytest.mark.parametrize(
    ("kind", "attributes", "code"),
    [
        ("LRN", {"size": 3}, "approximate"),
        ("Softmax", {"axis": 1}, "all-lanes"),
        ("CumSum", None, "no-rule"),
    ],
)
def test_what_mixes_channels_freezes_them_by_name(net, kind, attributes, code):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    b = (
        n.op(kind, a, n.const(np.asarray(1, dtype=np.int64)))
        if attributes is None
        else n.op(kind, a, **attributes)
    )
    n.widths[b.name] = 8
    model = n.model(n.head(b))
    frozen = {g.frozen.code: g.frozen for g in analyze(model).frozen if g.size == 8}
    assert set(frozen) == {code}
    assert kind in frozen[code].text


def test_layer_normalization_freezes_the_stream_and_says_so(net):
    n = net(("N", 5, 8))
    a = n.op("LayerNormalization", n.op("MatMul", n.x, n.rand(8, 8)), n.rand(8), n.rand(8), axis=-1)
    model = n.model(n.op("MatMul", n.op("Relu", n.op("MatMul", a, n.rand(8, 16))), n.rand(16, 5)))
    assert reasons(model) >= {"approximate"}


def test_a_shape_computed_from_a_channel_axis_freezes_it(net):
    n = net()
    a = n.relu(n.conv(n.x, 8))
    size = n.op("Gather", n.op("Shape", a), n.ints(0, 1, 2, 3))
    b = n.op("Reshape", a, size)
    n.widths[b.name] = 8
    assert "size-read" in reasons(n.model(n.head(b)))


@pytest.mark.parametrize("groups", [0, -1])
def test_no_groups_at_all_are_frozen(net, groups):
    def layered(operator):
        n = net()
        x = n.relu(n.conv(n.x, 8))
        return n.model(n.op(operator, x, n.rand(8, 8, 3, 3), group=groups))

    assert "uneven-groups" in reasons(layered("Conv"))
    with pytest.raises(ModelError, match="group"):
        layered("ConvTranspose")
