"""Neurons that go through the bodies of If, Loop and Scan, and weights that live in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cuts import chosen, cut, noise, prove, run
from sardonyx.core.errors import ModelError
from sardonyx.core.protos import all_graphs
from sardonyx.core.shapes import infer_shapes
from sardonyx.core.targets import get_target
from sardonyx.passes.coupling import Coupling, Kept, analyze, cut_classes
from sardonyx.passes.pruning import PruneOptions
from sardonyx.passes.pruning import prune as prune_graph
from sardonyx.passes.pruning.consumers import find_consumers
from sardonyx.passes.pruning.criteria import Evidence, second_order
from sardonyx.passes.pruning.masking import masked
from sardonyx.passes.pruning.repair import repair_consumers
from sardonyx.passes.pruning.statistics import supposed

CONDITION = "m = ReduceSum<keepdims = 0>(x) c = Greater(m, z)"
COUNT = "n = Constant<value = int64 {3}>() go = Constant<value = bool {1}>()"


def build(text: str, opset: int = 18, **weights: object) -> ir.Model:
    """A graph from text; ``graph__name`` puts a weight into the graph of that name, ``name`` into the main one."""
    random = np.random.default_rng(0)
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}, "custom" : 1]>\n{text}')
    graphs = {graph.name: graph for graph in all_graphs(proto)}
    for key, content in weights.items():
        scope, _, name = key.rpartition("__")
        if isinstance(content, tuple):
            content = random.standard_normal(content) / np.sqrt(content[0])
        tensor = onnx.numpy_helper.from_array(np.asarray(content, dtype="f4"), name)
        graphs[scope or "g"].initializer.append(tensor)
    model = ir.from_proto(proto)
    infer_shapes(model)
    return model


def dense_if(threshold: float = 0.0) -> ir.Model:
    """Both branches read an outer activation; weights inside (of one name) and outside."""
    text = f"""g (float[N,5] x) => (float[N,3] y) {{
        {CONDITION} a = MatMul(x, w) h = Relu(a)
        f = If(c) <then_branch = t () => (p) {{ q = MatMul(h, v) p = Add(q, b) }},
                   else_branch = e () => (p) {{ q = MatMul(h, v) r = Relu(q) p = MatMul(r, o) }}>
        y = MatMul(f, u)
    }}"""
    return build(text, z=threshold, w=(5, 8), t__v=(8, 6), b=(6,), e__v=(8, 7), o=(7, 6), u=(6, 3))


def conv_if(threshold: float = 0.0) -> ir.Model:
    """A convolution in either branch; the sizes of a Reshape inside are rewritten inside."""
    text = f"""g (float[N,3,8,8] x) => (float[N,3] y) {{
        {CONDITION} a = Conv<pads = [1,1,1,1]>(x, w) h = Relu(a)
        f = If(c) <then_branch = t () => (p) {{ p = Conv<pads = [1,1,1,1]>(h, v) }},
                   else_branch = e () => (p) {{
                       k = Constant<value_ints = [0, 8, 64]>() s = Reshape(h, k) l = Constant<value_ints = [0, 8, 8, 8]>()
                       r = Reshape(s, l) p = Conv(r, o) }}>
        i = GlobalAveragePool(f) j = Flatten(i) y = Gemm(j, u)
    }}"""
    return build(text, z=threshold, w=(8, 3, 3, 3), t__v=(6, 8, 3, 3), o=(6, 8, 1, 1), u=(6, 3))


def loop(shape: str = "[]") -> ir.Model:
    """A state with hidden units inside; what is collected is summed over the iterations outside."""
    text = f"""g (float[N,5] x) => (float[N,3] y) {{
        {COUNT} s = MatMul(x, w)
        f, all = Loop(n, go, s) <body = b (int64 i, bool ci, float{shape} h) => (bool co, float{shape} k, l) {{
            co = Identity(ci) q = MatMul(h, v) r = Relu(q) t = MatMul(r, o) k = Add(h, t) l = MatMul(k, p) }}>
        j = Constant<value_ints = [0]>() a = ReduceSum<keepdims = 0>(all, j)
        d = MatMul(f, u) e = MatMul(a, m) y = Add(d, e)
    }}"""
    return build(text, w=(5, 8), v=(8, 6), b__o=(6, 8), b__p=(8, 4), u=(8, 3), m=(4, 3))


def scan(axis: int = 1) -> ir.Model:
    """A recurrent network written out: what is scanned, the state and what is collected are cut."""
    text = f"""g (float[N,6,5] x) => (float[N,6,3] y, float[N,3] last) {{
        j = Constant<value_ints = [1]>() d = ReduceSum<keepdims = 0>(x, j) start = MatMul(d, i)
        a = MatMul(x, w) xs = Relu(a)
        f, all = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [{axis}],
            body = b (h, t) => (k, l) {{ q = MatMul(t, v) r = MatMul(h, o) s = Add(q, r) k = Tanh(s) l = Identity(k) }}>
            (start, xs)
        z = Transpose<perm = {[0, 1, 2] if axis == 1 else [1, 0, 2]}>(all) y = MatMul(z, u) last = MatMul(f, u)
    }}"""
    return build(text, w=(5, 7), v=(7, 8), b__o=(8, 8), i=(5, 8), u=(8, 3))


def nested(threshold: float = 0.0) -> ir.Model:
    """A branch of a branch inside a loop reads the main graph's weight and the loop's state."""
    text = f"""g (float[N,5] x) => (float[N,3] y) {{
        {CONDITION} {COUNT} s = MatMul(x, w)
        f = Loop(n, go, s) <body = b (int64 i, bool ci, h) => (bool co, k) {{
            co = Identity(ci)
            k = If(c) <then_branch = t () => (p) {{ q = MatMul(h, v) r = Relu(q) p = MatMul(r, o) }},
                       else_branch = e () => (p) {{
                           p = If(c) <then_branch = tt () => (a) {{ a = Neg(h) }},
                                      else_branch = ee () => (a) {{ a = Tanh(h) }}> }}> }}>
        y = MatMul(f, u)
    }}"""
    return build(text, z=threshold, w=(5, 8), v=(8, 6), b__o=(6, 8), u=(8, 3))


def recurrent() -> ir.Model:
    """A recurrent layer, all of it inside a loop; rewritten there."""
    text = f"""g (float[N,4,5] x) => (float[N,3] y) {{
        {COUNT} s = Transpose<perm = [1, 0, 2]>(x) a = MatMul(s, w)
        f = Loop(n, go, a) <body = b (int64 i, bool ci, h) => (bool co, k) {{
            co = Identity(ci) q, last, cell = LSTM<hidden_size = 6>(h, v, r)
            j = Constant<value_ints = [1]>() t = Squeeze(q, j) z = MatMul(t, o) k = Add(h, z) }}>
        d = Constant<value_ints = [0]>() l = ReduceSum<keepdims = 0>(f, d) y = MatMul(l, u)
    }}"""
    return build(text, w=(5, 8), b__v=(1, 24, 8), b__r=(1, 24, 6), b__o=(6, 8), u=(8, 3))


MODELS: dict[str, tuple[Callable[[], ir.Model], list[int]]] = {
    "if, then": (lambda: dense_if(-1e6), [6, 7, 8]),
    "if, else": (lambda: dense_if(1e6), [6, 7, 8]),
    "convolutions, then": (lambda: conv_if(-1e6), [6, 8]),
    "convolutions, else": (lambda: conv_if(1e6), [6, 8]),
    "loop": (loop, [4, 6, 8]),
    "loop, declared": (lambda: loop("[N,8]"), [4, 6, 8]),
    "scan": (scan, [7, 8]),
    "scan, stacked first": (lambda: scan(0), [7, 8]),
    "recurrent layer": (recurrent, [6, 8]),
    "nested, then": (lambda: nested(-1e6), [6, 8]),
    "nested, else": (lambda: nested(1e6), [6, 8]),
}


def hidden(coupling: Coupling, code: str) -> set[str]:
    """The nodes that freeze groups for a reason."""
    return {g.frozen.node for g in coupling.frozen if g.frozen is not None and g.frozen.code == code}


@pytest.mark.parametrize("kind", MODELS)
def test_half_of_every_group_goes_and_the_rest_gives_the_same(kind):
    make, widths = MODELS[kind]
    model = make()
    assert sorted(g.size for g in analyze(model).groups) == widths
    labels = chosen(model, 0.5)
    assert prove(model, labels).largest_difference <= 1e-5
    left = {g.size for g in analyze(cut(model, labels)).groups}
    assert left == {w - w // 2 for w in widths}


@pytest.mark.parametrize("kind", MODELS)
def test_a_mask_inside_a_body_really_masks(kind):
    model = MODELS[kind][0]()
    coupling = analyze(model)
    reference = masked(model, coupling, Kept(coupling, chosen(model, 0.5)))
    assert np.abs(run(reference) - run(model)).max() > 1e-3


def test_weights_of_branches_and_bodies_shrink_where_they_are():
    smaller = cut(dense_if(), chosen(dense_if(), 0.5))
    graphs = {graph.name: graph for graph in smaller.graph.subgraphs()}
    shapes = {name: graphs[name].initializers["v"].const_value.shape.numpy() for name in ("t", "e")}
    assert shapes == {"t": (4, 3), "e": (4, 4)}
    assert smaller.graph.initializers["o"].const_value.shape.numpy() == (4, 3)


def test_what_a_loop_declares_of_its_state_is_written_anew():
    model = loop("[N,8]")
    smaller = cut(model, chosen(model, 0.5))
    body = next(smaller.graph.subgraphs())
    assert [list(v.shape) for v in (body.inputs[2], body.outputs[1])] == [["N", 4], ["N", 4]]


def test_iterations_are_no_neurons():
    text = """g (float[N,6,5] x) => (float[N,3] y) {
        d = Constant<value_ints = [1]>() e = ReduceSum<keepdims = 0>(x, d) start = MatMul(e, i)
        f, all = Scan <num_scan_inputs = 1, scan_input_axes = [1],
            body = b (h, t) => (k, l) { q = MatMul(t, v) k = Add(h, q) l = Relu(k) }>(start, x)
        a = Transpose<perm = [1, 2, 0]>(all) r = MatMul(a, w) j = Constant<value_ints = [-1]>()
        s = ReduceSum<keepdims = 0>(r, j) y = MatMul(s, u)
    }"""
    model = build(text, v=(5, 8), i=(5, 8), w=(6, 4), u=(8, 3))
    assert sorted(g.size for g in analyze(model).groups) == [4, 8]
    assert all(g.size != 6 for g in analyze(model).all_groups)


BRANCH = """g (float[N,5] x) => (float[N,3] y) {{
    {condition} a = MatMul(x, w) h = Relu(a)
    f = If(c) <then_branch = t () => (float[N,8] p) {{ {inside} }}, else_branch = e () => (float[N,8] p) {{ p = Neg(h) }}>
    y = MatMul(f, u)
}}"""


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("q = custom.Mystery(h) p = Relu(q)", "Mystery"),
        (
            "s = SequenceConstruct(h, h) k = Constant<value = int64 {1}>() p = SequenceAt(s, k)",
            "SequenceConstruct",
        ),
        ("q = Optional(h) p = OptionalGetElement(q)", "Optional"),
    ],
)
def test_what_is_unknown_inside_freezes_by_its_own_name(inside, kind):
    model = build(BRANCH.format(condition=CONDITION, inside=inside), z=0.0, w=(5, 8), u=(8, 3))
    inner = next(n for n in ir.traversal.RecursiveGraphIterator(model.graph) if n.op_type == kind)
    inner.name = "the_inner_node"
    coupling = analyze(model)
    assert coupling.groups == ()
    assert hidden(coupling, "no-rule") == {"the_inner_node"}
    frozen = next(g for g in coupling.frozen if g.size == 8)
    with pytest.raises(ModelError, match=kind):
        cut_classes(model, coupling, frozen.classes[:1])


def test_a_node_with_a_body_and_no_rule_freezes_all_it_captures():
    text = """g (float[N,5] x) => (float[N,3] y) {
        a = MatMul(x, w) h = Relu(a)
        f = custom.Repeat(x) <body = b () => (float[N,8] p) { p = Neg(h) }>
        y = MatMul(h, u)
    }"""
    assert analyze(build(text, w=(5, 8), u=(8, 3))).groups == ()


def test_a_sequence_that_a_loop_carries_freezes_what_goes_into_it():
    text = f"""g (float[N,5] x) => (float[N,3] y) {{
        {COUNT} a = MatMul(x, w) h = Relu(a) s = SequenceEmpty<dtype = 1>()
        f = Loop(n, go, s) <body = b (int64 i, bool ci, q) => (bool co, k) {{
            co = Identity(ci) k = SequenceInsert(q, h) }}>
        z = Constant<value = int64 {{0}}>() e = SequenceAt(f, z) y = MatMul(e, u)
    }}"""
    coupling = analyze(build(text, w=(5, 8), u=(8, 3)))
    assert coupling.groups == ()
    assert "SequenceInsert: no rule" in next(g for g in coupling.frozen if g.size == 8).frozen.text


def test_a_scan_of_operator_set_8_freezes():
    text = """g (float[2,4,5] x, float[2,8] h) => (float[2,8] f, float[2,4,8] y) {
        a = MatMul(x, w)
        f, y = Scan <num_scan_inputs = 1, body = b (s, t) => (k, l) { k = Add(s, t) l = Relu(k) }>("", h, a)
    }"""
    assert hidden(analyze(build(text, opset=8, w=(5, 8))), "scan-8")


@pytest.mark.parametrize("threshold", [-1e6, 1e6])
def test_means_inside_a_branch_are_taken_over_what_stays(threshold):
    text = f"""g (float[N,5] x) => (float[N,3] y) {{
        {CONDITION} a = MatMul(x, w) h = Relu(a)
        f = If(c) <then_branch = t () => (p) {{ p = LayerNormalization<axis = -1>(h, s) }},
                   else_branch = e () => (p) {{
                       j = Constant<value_ints = [-1]>() r = ReduceMean<keepdims = 1>(h, j) p = Sub(h, r) }}>
        y = MatMul(f, u)
    }}"""
    model = build(text, z=threshold, w=(5, 8), u=(8, 3), t__s=(8,))
    assert analyze(model).groups == ()
    labels = chosen(model, 0.5, approximate=True)
    assert len(labels) == 4
    assert prove(model, labels, approximate=True).largest_difference <= 1e-5


def test_branches_of_two_widths_freeze_both():
    text = f"""g (float[N,5] x) => (float[N] y) {{
        {CONDITION} f = If(c) <then_branch = t () => (p) {{ p = MatMul(x, v) }},
                               else_branch = e () => (p) {{ p = MatMul(x, o) }}>
        j = Constant<value_ints = [1]>() y = ReduceSum<keepdims = 0>(f, j)
    }}"""
    coupling = analyze(build(text, z=0.0, v=(5, 8), e__o=(5, 6)))
    assert coupling.groups == ()
    assert {g.frozen.code for g in coupling.frozen if g.size in {6, 8}} == {"dynamic"}


def test_a_state_that_grows_keeps_only_what_stays_of_its_shape():
    text = f"""g (float[N,5] x) => (float y) {{
        {COUNT} s = MatMul(x, w)
        f = Loop(n, go, s) <body = b (int64 i, bool ci, h) => (bool co, k) {{
            co = Identity(ci) k = Concat<axis = 0>(h, h) }}>
        r = MatMul(f, u) y = ReduceSum<keepdims = 0>(r)
    }}"""
    model = build(text, w=(5, 8), u=(8, 3))
    final = next(n for n in model.graph if n.op_type == "Loop").outputs[0]
    assert [d if isinstance(d, int) else None for d in final.shape] == [None, 8]
    assert prove(model, chosen(model, 0.5)).largest_difference <= 1e-5


@pytest.mark.parametrize("kind", ["if, then", "loop", "scan", "nested, then"])
@pytest.mark.parametrize("criterion", ["second-order", "magnitude", "wanda"])
def test_pruning_reaches_into_bodies(kind, criterion):
    model = MODELS[kind][0]()
    options = PruneOptions(params=0.5, criterion=criterion, align=1, steps=2)
    report = prune_graph(model, noise(model, 64), options, target=get_target("cpu-x86")).report
    assert report.after.params <= 0.5 * report.before.params
    assert report.proof.largest_difference <= 1e-5


def test_who_reads_inside_a_body_is_no_reason_to_think_a_neuron_free():
    model = loop()
    coupling = analyze(model)
    inside = [c for c in find_consumers(coupling) if not c.is_observable(coupling)]
    assert {c.weight.name for c in inside} == {"v", "o", "p"}
    seen = {consumer: supposed(len(consumer.labels(coupling))) for consumer in inside}
    evidence = Evidence(coupling, seen, compensate=True, random=np.random.default_rng(0))
    for group in coupling.groups:
        if group.name != "p":  # what is collected is read outside
            assert np.diff(second_order(group, evidence, 3).cost[:4]).min() > 0
    # Nothing is known of what could take over: the weights inside stay as they are.
    before = [c.weight.const_value.numpy().copy() for c in inside]
    repair_consumers(model, coupling, Kept(coupling, chosen(model, 0.5)), seen)
    for consumer, array in zip(inside, before, strict=True):
        np.testing.assert_allclose(consumer.weight.const_value.numpy(), array, rtol=1e-6)
