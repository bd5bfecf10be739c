"""Twins of a graph: with channels of zeros, with neurons that have changed places, with other names and order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.coupling import Coupling, analyze

Labels = npt.NDArray[np.int64]
Places = dict[tuple[ir.Value, int], tuple[np.ndarray, np.ndarray]]
Footprint = frozenset[tuple[str, int, int]]
"""All that a neuron takes: the initializers, by name, the axes and the indices."""


def silenced(model: ir.Model, labels: Labels) -> ir.Model:
    """A copy in which every weight and bias of some neurons is zero."""
    copy = model.clone()
    coupling = analyze(copy)
    for value in copy.graph.initializers.values():
        array = np.array(value.const_value.numpy())
        if array.dtype == np.float32:
            for axis in range(array.ndim):
                places = np.flatnonzero(np.isin(coupling.classes_of(value, axis), labels))
                array[(slice(None),) * axis + (places,)] = 0.0
            value.const_value = ir.tensor(array, name=value.name)
    return copy


def permuted(model: ir.Model, random: np.random.Generator) -> ir.Model | None:
    """A copy in which two neurons of each group, picked at random, have changed places; None where none may."""
    copy = model.clone()
    coupling = analyze(copy)
    pairs = [random.choice(g.classes, 2, replace=False) for g in coupling.groups if g.size > 1]
    swaps = [places for pair in pairs if (places := alike(coupling, *pair))]
    for places in swaps:
        for (value, axis), (first, second) in places.items():
            # The entries of a list of indices say where neurons go, and that has not changed.
            if value.const_value is not None and value.const_value.dtype != ir.DataType.INT64:
                array = np.array(np.moveaxis(value.const_value.numpy(), axis, 0))
                array[[*first, *second]] = array[[*second, *first]]
                turned = np.ascontiguousarray(np.moveaxis(array, 0, axis))
                value.const_value = ir.tensor(turned, name=value.name)
    return copy if swaps else None


def alike(coupling: Coupling, first: int, second: int) -> Places | None:
    """Where two neurons lie on every axis; None where the graph treats them in two ways.

    Neurons of a group touch the same weights, but one may pass through a layer that the other passes by. Two may
    change places where that carries every tie of the one onto a tie of the other.
    """
    places: Places = {}
    image: dict[int, int] = {}
    for value in coupling.space.values():
        for axis, ids in coupling.space.all_ids(value):
            a, b = (np.flatnonzero(coupling.labels[ids] == label) for label in (first, second))
            if len(a) != len(b):
                return None
            if len(a):
                places[(value, axis)] = (a, b)
                image |= dict(zip(ids[a].tolist(), ids[b].tolist(), strict=True))
    ties = {(int(x), int(y)) for t in coupling.ties for x, y in zip(*t, strict=True)}
    mine = {(image[x], image[y]) for x, y in ties if x in image}
    theirs = {(x, y) for x, y in ties if x in set(image.values())}
    return places if mine == theirs else None


def relabelled(before: ir.Model, after: ir.Model, gone: Labels, wanted: Labels) -> Labels | None:
    """Labels in a cut graph of classes named by their labels before; None where classes merged in between."""
    old, new = analyze(before), analyze(after)
    found, others = set(), set()
    for name, value in before.graph.initializers.items():
        if name not in after.graph.initializers:
            # A size that was rewritten, by a constant that is the node's own.
            assert value.const_value.dtype == ir.DataType.INT64
            continue
        for axis in range(len(value.const_value.shape)):
            labels, fresh = old.classes_of(value, axis), new.classes_of(after.graph.initializers[name], axis)
            stays = labels[~np.isin(labels, gone)]
            for label, now in zip(stays, fresh, strict=True):
                (found if label in wanted else others).add(int(now))
    is_the_same = not found & others and all(new.reason(label) is None for label in found)
    return np.asarray(sorted(found), dtype=np.int64) if is_the_same else None


def disguised(model: ir.Model, random: np.random.Generator) -> tuple[ir.Model, dict[str, str]]:
    """A copy with other names, nodes and weights in another order, and Identities on the way; and what was called what."""
    proto = ir.to_proto(model)
    graph = proto.graph
    del graph.value_info[:]
    values = [*graph.input, *graph.initializer, *graph.output]
    names = sorted({v.name for v in values} | {name for node in graph.node for name in node.output if name})
    fresh = dict(zip(names, (f"t{number}" for number in random.permutation(len(names))), strict=True))
    for value in values:
        value.name = fresh[value.name]
    for number, node in enumerate(graph.node):
        node.name = f"node{number * 7 % 1000}"
        node.input[:] = [fresh.get(name, "") for name in node.input]
        node.output[:] = [fresh.get(name, "") for name in node.output]
    constants = {tensor.name for tensor in graph.initializer}
    nodes = _with_identities(list(graph.node), constants, random)
    _refill(graph.node, _shuffled(nodes, constants | {v.name for v in graph.input}, random))
    _refill(graph.initializer, [graph.initializer[i] for i in random.permutation(len(graph.initializer))])
    twin = ir.from_proto(proto)
    infer_shapes(twin)
    return twin, {new: old for old, new in fresh.items()}


def _refill(field, items: list) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)


def _with_identities(
    nodes: list[onnx.NodeProto], constants: set[str], random: np.random.Generator
) -> list[onnx.NodeProto]:
    added = []
    for node in nodes:
        for index, name in enumerate(node.input):
            if name and name not in constants and random.random() < 0.2:
                passed = f"i{len(added)}"
                added.append(
                    onnx.helper.make_node("Identity", [name], [passed], name=f"identity{len(added)}")
                )
                node.input[index] = passed
    return [*nodes, *added]


def _shuffled(
    nodes: list[onnx.NodeProto], known: set[str], random: np.random.Generator
) -> list[onnx.NodeProto]:
    """The nodes in another order in which each still follows what it reads."""
    left, order, known = list(nodes), [], {"", *known}
    while left:
        ready = [node for node in left if known.issuperset(node.input)]
        node = ready[random.integers(len(ready))]
        left.remove(node)
        order.append(node)
        known.update(node.output)
    return order


def footprints(model: ir.Model, names: dict[str, str] | None = None) -> dict[Footprint, int]:
    """The neurons that may be cut: what each takes, with its label."""
    coupling = analyze(model)
    return {taken: label for group in _groups(coupling, names or {}) for taken, label in group.items()}


def structure(model: ir.Model, names: dict[str, str] | None = None) -> Counter[frozenset[Footprint]]:
    """The groups that may be cut, each as what its neurons take."""
    return Counter(frozenset(group) for group in _groups(analyze(model), names or {}))


def _groups(coupling: Coupling, names: dict[str, str]) -> list[dict[Footprint, int]]:
    found = []
    for group in coupling.groups:
        taken: dict[int, set[tuple[str, int, int]]] = {int(label): set() for label in group.classes}
        for member in group.members:
            name = names.get(member.value.name, member.value.name)
            for index, label in enumerate(coupling.classes_of(member.value, member.axis)):
                if label in taken:
                    taken[int(label)].add((name, member.axis, index))
        found.append({frozenset(places): label for label, places in taken.items()})
    return found
