"""Random networks: what hypothesis draws is a walk through the steps in the tables at the end.

A step takes a feature map (or a sequence of tokens) and makes another one; the next steps may read any of those before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st
from nets import Net

LARGEST_SIDE = 8
LARGEST_WIDTH = 24


@dataclass(frozen=True)
class Map:
    """A feature map, shape ``(batch, width, side, side)``."""

    value: ir.Value
    width: int
    side: int


@dataclass(frozen=True)
class Tokens:
    """A sequence, shape ``(batch, count, width)``."""

    value: ir.Value
    count: int
    width: int


class Walk:
    """What has been built so far, and what is drawn next."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        shape = (self.pick("N", 2), 3, LARGEST_SIDE, LARGEST_SIDE)
        self.n = Net(shape, opset=self.pick(18, 13, 12), seed=draw(st.integers(0, 1000)))
        self.maps = [Map(self.n.x, 3, LARGEST_SIDE)]

    def pick(self, *choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def map(self, value: ir.Value, width: int, side: int) -> Map:
        self.n.widths[value.name] = width
        return Map(value, width, side)

    def like(self, a: Map, kind: str, *others: ir.Value, **attributes: object) -> Map:
        return self.map(self.n.op(kind, a.value, *others, **attributes), a.width, a.side)

    def conv(self, a: Map, width: int, k: int = 1, **attributes: object) -> Map:
        value = self.n.conv(a.value, width, k=k, **attributes)
        return self.map(value, width, -(-a.side // attributes.get("strides", [1])[0]))

    def partner(self, a: Map) -> Map:
        """An earlier map of the same shape, or one that a convolution brings to it."""
        earlier = [m for m in self.maps if m.side == a.side]
        other = self.pick(*earlier) if earlier else a
        return other if other.width == a.width else self.conv(other, a.width)

    def divisor(self, number: int) -> int:
        return self.pick(*(d for d in range(2, number + 1) if number % d == 0)) if number > 1 else 1


def convolve(w: Walk, a: Map) -> Map:
    b = w.conv(a, w.pick(4, 2, 6, 8), k=w.pick(3, 1), strides=w.pick([1, 1], [2, 2]))
    return w.like(b, "Relu") if w.pick(True, False) else b


def depthwise(w: Walk, a: Map) -> Map:
    return w.conv(a, a.width * w.pick(1, 2), k=3, group=a.width)


def grouped(w: Walk, a: Map) -> Map:
    groups = w.divisor(a.width)
    return w.conv(a, groups * w.pick(1, 2, 3), k=w.pick(3, 1), group=groups)


def transposed(w: Walk, a: Map) -> Map:
    groups, lanes = w.pick(1, w.divisor(a.width)), w.pick(2, 1, 3)
    k = 2 if 2 * a.side <= LARGEST_SIDE else 1
    weights = w.n.rand(a.width, lanes, k, k), w.n.rand(groups * lanes)
    value = w.n.op("ConvTranspose", a.value, *weights, group=groups, strides=[k, k])
    return w.map(value, groups * lanes, k * a.side)


def again(w: Walk, a: Map) -> Map:
    """A convolution with the weights of an earlier one."""
    weights = [
        node.inputs[1:]
        for node in w.n.nodes
        if node.op_type == "Conv" and list(node.inputs[1].const_value.shape)[1:] == [a.width, 1, 1]
    ]
    if not weights:
        return convolve(w, a)
    shared = w.pick(*weights)
    return w.map(w.n.op("Conv", a.value, *shared), shared[0].const_value.shape[0], a.side)


def join(w: Walk, a: Map) -> Map:
    return w.like(a, w.pick("Add", "Sub", "Max", "Min", "Mean"), w.partner(a).value)


def concat(w: Walk, a: Map) -> Map:
    others = [m for m in w.maps if m.side == a.side and m.width + a.width <= LARGEST_WIDTH] or [a]
    parts = w.draw(st.permutations([a, w.pick(*others)]))
    return w.map(w.n.op("Concat", *(p.value for p in parts), axis=1), sum(p.width for p in parts), a.side)


def stack(w: Walk, a: Map) -> Map:
    """Two maps one above the other, of which the upper half is left."""
    both = w.n.op("Concat", a.value, w.partner(a).value, axis=2)
    return w.map(w.n.slice(both, a.side // 2, a.side // 2 + a.side, axis=2), a.width, a.side)


def split(w: Walk, a: Map) -> Map:
    if a.width < 2:
        return a
    first = w.draw(st.integers(1, a.width - 1))
    if w.n.opset >= 18 and a.width % 2 and w.pick(True, False):
        first = a.width // 2 + 1
        parts = w.n.ops("Split", a.value, outputs=2, num_outputs=2, axis=1)
    else:
        parts = w.n.split(a.value, first, a.width - first, axis=w.pick(1, -3))
    pieces = [w.map(v, size, a.side) for v, size in zip(parts, (first, a.width - first), strict=True)]
    swapped = w.map(w.n.op("Concat", parts[1], parts[0], axis=1), a.width, a.side)
    return w.pick(*pieces, swapped)


def slice_(w: Walk, a: Map) -> Map:
    start = w.draw(st.integers(0, a.width - 1))
    end = w.draw(st.integers(start + 1, a.width))
    written = end if end < a.width else w.pick(end, 2**62)
    if start and written == end < a.width and w.pick(False, True):
        start, written = start - a.width, end - a.width
    value = w.n.slice(a.value, start, written)
    return w.map(value, end - start % a.width, a.side)


def gather(w: Walk, a: Map) -> Map:
    indices = w.draw(st.lists(st.integers(-a.width, a.width - 1), min_size=1, max_size=a.width + 2))
    return w.map(w.n.op("Gather", a.value, w.n.ints(*indices), axis=1), len(indices), a.side)


def shuffle(w: Walk, a: Map) -> Map:
    groups = w.divisor(a.width)
    wide = w.n.op("Reshape", a.value, w.n.ints(0, groups, a.width // groups, a.side, a.side))
    turned = w.n.op("Transpose", wide, perm=[0, 2, 1, 3, 4])
    sizes = w.pick((0, a.width, a.side, a.side), (0, -1, a.side, a.side))
    return w.map(w.n.op("Reshape", turned, w.n.ints(*sizes)), a.width, a.side)


def gate(w: Walk, a: Map) -> Map:
    """Squeeze and excitation, pooled in one of two ways."""
    pooled = w.n.op("GlobalAveragePool", a.value) if w.pick(True, False) else w.n.mean(a.value, 2, 3)
    small = w.like(w.conv(w.map(pooled, a.width, 1), 2), "Relu")
    return w.like(a, "Mul", w.like(w.conv(small, a.width), "Sigmoid").value)


def look(w: Walk, a: Map) -> Map:
    """A gate for each position, from the mean or the largest over the channels."""
    lanes = w.n.listed(w.pick("ReduceMean", "ReduceMax"), a.value, 18, axes=[1])[0]
    return w.like(a, "Mul", w.n.op("Sigmoid", lanes))


def normalize(w: Walk, a: Map) -> Map:
    kind = w.pick("BatchNormalization", "InstanceNormalization", "LRN")
    if kind == "LRN":
        return w.like(a, kind, size=3)
    vectors = [w.n.floats(np.abs(w.n.random.standard_normal(a.width)) + 0.1) for _ in range(4)]
    return w.like(a, kind, *(vectors if kind == "BatchNormalization" else vectors[:2]), epsilon=0.1)


def activate(w: Walk, a: Map) -> Map:
    kind = w.pick(
        "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Neg", "Softplus", "Clip", "PRelu", "Dropout"
    )
    if kind == "Clip":
        return w.map(w.n.clip(a.value, -1.0, 1.0), a.width, a.side)
    if kind == "PRelu":
        return w.like(a, kind, w.n.rand(*w.pick((a.width, 1, 1), (1,))))
    return w.like(a, kind)


def scale(w: Walk, a: Map) -> Map:
    """A constant that broadcasts in one of many ways."""
    shapes = [
        (a.width, 1, 1),
        (1, a.width, 1, 1),
        (),
        (1,),
        (1, 1, 1, 1),
        (1, a.width, a.side, a.side),
        (a.side,),
    ]
    constant = w.n.rand(*w.pick(*shapes))
    operands = w.draw(st.permutations([a.value, constant]))
    return w.map(w.n.op(w.pick("Mul", "Add", "Sub"), *operands), a.width, a.side)


def where(w: Walk, a: Map) -> Map:
    mask = w.n.const(w.n.random.random(w.pick((a.width, 1, 1), (a.side, a.side))) > 0.3)
    other = w.pick(w.n.floats(0.5), w.partner(a).value)
    return w.map(w.n.op("Where", mask, a.value, other), a.width, a.side)


def pool(w: Walk, a: Map) -> Map:
    kind = w.pick("MaxPool", "AveragePool")
    if a.side >= 2 and w.pick(True, False):
        return w.map(w.n.op(kind, a.value, kernel_shape=[2, 2], strides=[2, 2]), a.width, a.side // 2)
    return w.like(a, kind, kernel_shape=[3, 3], pads=[1] * 4)


def resize(w: Walk, a: Map) -> Map:
    factor = 2 if 2 * a.side <= LARGEST_SIDE else 1
    if w.pick(True, False):
        scales = w.n.floats(np.asarray([1, 1, factor, factor]))
        value = w.n.op("Resize", a.value, w.n.floats(np.zeros(0)), scales, mode="nearest")
    else:
        if w.n.x.shape[0] == "N":
            return a
        sizes = w.n.ints(2, a.width, factor * a.side, factor * a.side)
        empty = w.n.floats(np.zeros(0))
        value = w.n.op("Resize", a.value, empty, None if w.n.opset >= 13 else empty, sizes, mode="nearest")
    return w.map(value, a.width, factor * a.side)


def pad(w: Walk, a: Map) -> Map:
    """Around the image, which is cropped again, or behind the channels."""
    if w.pick(True, False):
        wide = w.n.pad(a.value, 0, 0, 1, 0, 0, 0, 0, 0)
        return w.map(w.n.slice(wide, 0, a.side, axis=2), a.width, a.side)
    return w.map(w.n.pad(a.value, 0, 0, 0, 0, 0, 1, 0, 0), a.width + 1, a.side)


def fold_space(w: Walk, a: Map) -> Map:
    if a.width % 4 == 0 and 2 * a.side <= LARGEST_SIDE:
        mode = w.pick("DCR", "CRD")
        return w.map(w.n.op("DepthToSpace", a.value, blocksize=2, mode=mode), a.width // 4, 2 * a.side)
    if a.side % 2 == 0 and 4 * a.width <= LARGEST_WIDTH:
        return w.map(w.n.op("SpaceToDepth", a.value, blocksize=2), 4 * a.width, a.side // 2)
    return a


def channels_last(w: Walk, a: Map) -> Map:
    """There and back, with a layer or a norm over the last axis in between."""
    last = w.n.op("Transpose", a.value, perm=[0, 2, 3, 1])
    kind, width = w.pick("bias", "layer", "softmax", "repeat"), a.width
    if kind == "bias":
        last = w.n.op("Add", last, w.n.rand(a.width))
    elif kind == "layer":
        width = w.pick(4, 6)
        last = w.n.op("MatMul", last, w.n.rand(a.width, width))
    elif kind == "softmax":
        last = w.n.op("Softmax", last, axis=w.pick(-1, 3))
    else:
        last = w.n.op("Tile", last, w.n.ints(1, 1, 1, 2))
        width = 2 * a.width
    return w.map(w.n.op("Transpose", last, perm=[0, 3, 1, 2]), width, a.side)


def flat_and_back(w: Walk, a: Map) -> Map:
    """As the bottleneck of an autoencoder: flat, a layer, and a map again."""
    flat, size = w.n.op("Flatten", a.value), a.width * a.side**2
    width = w.pick(2, 3)
    if w.pick(False, True):
        hidden = w.n.op("Relu", w.n.op("Gemm", flat, w.n.rand(size, 4), w.n.rand(4)))
        flat, size = w.n.op("Gemm", hidden, w.n.rand(width * a.side**2, 4), transB=1), width * a.side**2
    value = w.n.op("Reshape", flat, w.n.ints(-1, size // a.side**2, a.side, a.side))
    return w.map(value, size // a.side**2, a.side)


def wrap(w: Walk, a: Map) -> Map:
    """Another axis, an operator, and the axis gone."""
    axis = w.pick(1, 2, 4)
    wide = w.n.op("Tanh", w.n.unsqueeze(a.value, axis))
    return w.map(w.n.squeeze(wide, axis), a.width, a.side)


def mix(w: Walk, a: Map) -> Map:
    width = w.pick(4, 6)
    return w.map(w.n.op("Einsum", a.value, w.n.rand(width, a.width), equation="bchw,oc->bohw"), width, a.side)


def as_tokens(w: Walk, a: Map) -> Map:
    """Positions as tokens, a few steps on those, and a map again."""
    flat = w.n.op("Reshape", a.value, w.n.ints(0, w.pick(a.width, 0), a.side**2))
    t = Tokens(w.n.op("Transpose", flat, perm=[0, 2, 1]), a.side**2, a.width)
    for _ in range(w.draw(st.integers(1, 2))):
        t = TOKEN_STEPS[w.pick(*TOKEN_STEPS)](w, t)
    back = w.n.op("Transpose", t.value, perm=[0, 2, 1])
    return w.map(w.n.op("Reshape", back, w.n.ints(0, t.width, a.side, a.side)), t.width, a.side)


def linear(w: Walk, t: Tokens, width: int) -> Tokens:
    made = w.n.op("MatMul", t.value, w.n.rand(t.width, width))
    bias = w.n.op("Add", made, w.n.rand(width)) if w.pick(True, False) else made
    return Tokens(bias, t.count, width)


def perceptron(w: Walk, t: Tokens) -> Tokens:
    wide = linear(w, t, w.pick(6, 8))
    active = Tokens(w.n.op(w.pick("Relu", "Erf"), wide.value), t.count, wide.width)
    return Tokens(w.n.op("Add", t.value, linear(w, active, t.width).value), t.count, t.width)


def position(w: Walk, t: Tokens) -> Tokens:
    return Tokens(w.n.op("Add", t.value, w.n.rand(1, t.count, t.width)), t.count, t.width)


def centre(w: Walk, t: Tokens) -> Tokens:
    """LayerNormalization, by itself or written out."""
    if w.n.opset >= 17:
        vectors = [w.n.rand(t.width), w.n.rand(t.width)][: w.pick(2, 1)]
        value = w.n.op("LayerNormalization", t.value, *vectors, axis=w.pick(-1, 2), epsilon=0.1)
    else:
        centred = w.n.op("Sub", t.value, w.n.mean(t.value, -1))
        variance = w.n.mean(w.n.op("Mul", centred, centred), -1)
        value = w.n.op("Div", centred, w.n.op("Sqrt", w.n.op("Add", variance, w.n.floats(0.1))))
        value = w.n.op("Mul", value, w.n.rand(t.width))
    return Tokens(value, t.count, t.width)


def _heads(w: Walk, t: Tokens, heads: int, lanes: int, order: list[int]) -> ir.Value:
    shaped = w.n.op("Reshape", t.value, w.n.ints(0, w.pick(t.count, -1), heads, lanes))
    return w.n.op("Transpose", shaped, perm=order)


def attention(w: Walk, t: Tokens) -> Tokens:
    """Queries, keys and values apart or packed, lanes of their own for the values, and a scale or a mask."""
    heads, lanes = w.pick(2, 1, 3), w.pick(2, 3)
    wide = w.pick(lanes, 2)
    if w.pick(False, True):
        wide = lanes
        parts = w.n.split(linear(w, t, 3 * heads * lanes).value, *[heads * lanes] * 3, axis=2)
        q, k, v = (Tokens(p, t.count, heads * lanes) for p in parts)
    else:
        q, k, v = (linear(w, t, heads * size) for size in (lanes, lanes, wide))
    queries, values = _heads(w, q, heads, lanes, [0, 2, 1, 3]), _heads(w, v, heads, wide, [0, 2, 1, 3])
    keys = _heads(w, k, heads, lanes, [0, 2, 3, 1])
    scores = w.n.op("Mul", w.n.op("MatMul", queries, keys), w.n.floats(lanes**-0.5))
    if w.pick(False, True):
        shape = w.pick((1, 1, t.count, t.count), (t.count, t.count), (1, heads, t.count, t.count))
        scores = w.n.op("Add", scores, w.n.rand(*shape))
    weights = w.n.op("Softmax", scores, axis=w.pick(3, -1))
    mixed = w.n.op("Transpose", w.n.op("MatMul", weights, values), perm=[0, 2, 1, 3])
    flat = Tokens(w.n.op("Reshape", mixed, w.n.ints(0, t.count, heads * wide)), t.count, heads * wide)
    return Tokens(w.n.op("Add", t.value, linear(w, flat, t.width).value), t.count, t.width)


def linear_attention(w: Walk, t: Tokens) -> Tokens:
    """Keys and values meet first: nothing is a softmax over tokens."""
    q, k, v = (linear(w, t, size) for size in (4, 4, 6))
    context = w.n.op("MatMul", w.n.op("Transpose", k.value, perm=[0, 2, 1]), v.value)
    return Tokens(w.n.op("MatMul", w.n.op("Sigmoid", q.value), context), t.count, 6)


def recur(w: Walk, t: Tokens) -> Tokens:
    kind, hidden, directions = w.pick("GRU", "LSTM"), w.pick(3, 4), w.pick(1, 2)
    gates = {"GRU": 3, "LSTM": 4}[kind]
    weights = [w.n.rand(directions, gates * hidden, size) for size in (t.width, hidden)]
    bias = [w.n.rand(directions, 2 * gates * hidden)][: w.pick(1, 0)]
    turned = w.n.op("Transpose", t.value, perm=[1, 0, 2])
    direction = {1: "forward", 2: "bidirectional"}[directions]
    states = w.n.op(kind, turned, *weights, *bias, hidden_size=hidden, direction=direction)
    last = w.n.op("Transpose", states, perm=[2, 0, 1, 3])
    value = w.n.op("Reshape", last, w.n.ints(0, t.count, directions * hidden))
    return Tokens(value, t.count, directions * hidden)


MAP_STEPS: dict[str, Callable[[Walk, Map], Map]] = {
    "convolve": convolve,
    "depthwise": depthwise,
    "grouped": grouped,
    "join": join,
    "concat": concat,
    "split": split,
    "shuffle": shuffle,
    "gate": gate,
    "normalize": normalize,
    "activate": activate,
    "as_tokens": as_tokens,
    "transposed": transposed,
    "again": again,
    "slice": slice_,
    "gather": gather,
    "scale": scale,
    "where": where,
    "pool": pool,
    "resize": resize,
    "pad": pad,
    "fold_space": fold_space,
    "channels_last": channels_last,
    "flat_and_back": flat_and_back,
    "wrap": wrap,
    "mix": mix,
    "stack": stack,
    "look": look,
}
TOKEN_STEPS: dict[str, Callable[[Walk, Tokens], Tokens]] = {
    "perceptron": perceptron,
    "position": position,
    "centre": centre,
    "attention": attention,
    "linear_attention": linear_attention,
    "recur": recur,
}


def pooled(w: Walk, a: Map) -> ir.Value:
    return w.n.head(a.value)


def flat(w: Walk, a: Map) -> ir.Value:
    hidden = w.n.op("Gemm", w.n.op("Flatten", a.value), w.n.rand(a.width * a.side**2, 6), w.n.rand(6))
    return w.n.op("Gemm", w.n.op("Relu", hidden), w.n.rand(5, 6), w.n.rand(5), transB=1)


def averaged(w: Walk, a: Map) -> ir.Value:
    mean = w.n.mean(a.value, 2, 3, keepdims=0)
    return w.n.op("Add", w.n.op("MatMul", mean, w.n.rand(a.width, 5)), w.n.rand(5))


def dense(w: Walk, a: Map) -> ir.Value:
    return w.conv(a, 2).value


HEADS = (pooled, flat, averaged, dense)


@st.composite
def random_nets(draw: st.DrawFn) -> ir.Model:
    """A network of up to ten steps, with one or two ends."""
    w = Walk(draw)
    w.maps = [convolve(w, w.maps[0])]
    for _ in range(draw(st.integers(1, 7))):
        a = w.pick(*w.maps[-3:])
        step = MAP_STEPS[w.pick(*MAP_STEPS)] if a.width <= LARGEST_WIDTH else convolve
        w.maps.append(step(w, a))
    last = w.like(w.conv(w.maps[-1], 4), "Relu") if w.pick(True, False) else w.maps[-1]
    ends = [w.pick(*HEADS)(w, last)]
    if w.pick(False, True):
        ends.append(w.pick(*HEADS)(w, w.pick(*w.maps)))
    return w.n.model(*ends)
