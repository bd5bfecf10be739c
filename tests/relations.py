"""What must hold of any graph, whatever it computes: relations between what comes of it and what comes of a changed twin.

Each takes a graph and a seed, raises where it does not hold, and returns whether it applied at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from closed_form import macs_of, params_of
from cuts import chosen, cut
from graph_oracles import assert_close, feed_of, judged, outputs_of
from graph_twins import disguised, footprints, permuted, relabelled, silenced, structure
from sardonyx import Limits, ModelArtifact, inspect
from sardonyx.core.errors import ExpectationError
from sardonyx.core.metrics import measure_graph
from sardonyx.core.serialize import model_bytes
from sardonyx.core.shapes import infer_shapes
from sardonyx.core.targets import get_target
from sardonyx.passes import CleanupPass
from sardonyx.passes.coupling import Group, analyze, cut_classes
from sardonyx.passes.pruning import PruneOptions, PrunePlan, StructuredPruningPass

Relation = Callable[[ir.Model, int], bool]
NOTHING = (
    PruneOptions(ratio=0.0, criterion="l1", compensate=False),
    PruneOptions(plan=PrunePlan(()), compensate=False),
)


def identity(model: ir.Model, seed: int) -> bool:
    """A cut of nothing, a ratio of zero and an empty plan change no byte, and so no bit of the outputs."""
    same = model.clone()
    cut_classes(same, analyze(same), np.zeros(0, np.int64))
    assert model_bytes(same) == model_bytes(model)
    left = StructuredPruningPass(NOTHING[seed % 2], get_target("cpu-x86"))
    try:
        left(same)
    except ExpectationError:
        return False  # nothing may be cut at all
    assert without_shapes(same) == without_shapes(model)
    assert ModelArtifact.of(same).content == model_bytes(same)
    assert_equal(outputs_of(model), judged(ModelArtifact.of(same).load()))
    return True


def dead_channel(model: ir.Model, seed: int) -> bool:
    """Channels whose every weight and bias is zero can go."""
    group, random = a_group(model, seed)
    if group is None:
        return False
    gone = random.choice(group.classes, random.integers(1, group.size), replace=False)
    dead = silenced(model, gone)
    assert_close(dead, outputs_of(dead), judged(cut(dead, gone)))
    return True


def permutation(model: ir.Model, seed: int) -> bool:
    """Two neurons of a group may change places."""
    twin = permuted(model, np.random.default_rng(seed))
    if twin is None:
        return False
    assert_close(model, outputs_of(model), judged(twin))
    return True


def composition(model: ir.Model, seed: int) -> bool:
    """Cutting some and then others is cutting all of them at once, whichever go first."""
    labels = np.random.default_rng(seed).permutation(chosen(model, 0.6, seed))
    if len(labels) < 2:
        return False
    at_once = cut(model, labels)
    expected, found = judged(at_once), 0
    for first, second in ((labels[::2], labels[1::2]), (labels[1::2], labels[::2])):
        between = cut(model, first)
        then = relabelled(model, between, first, second)
        # A grouped convolution with one lane left is a depthwise one, with classes of another kind.
        if then is not None:
            in_turn = cut(between, then)
            assert weights(in_turn) == weights(at_once)
            assert_equal(expected, outputs_of(in_turn))
            found += 1
    return found > 0


def idempotence(model: ir.Model, seed: int) -> bool:
    """What is clean stays as it is."""
    clean = model.clone()
    CleanupPass()(clean)
    assert_close(model, outputs_of(model), judged(clean))
    again = clean.clone()
    CleanupPass()(again)
    assert without_shapes(again) == without_shapes(clean)
    return True


def storage(model: ir.Model, seed: int) -> bool:
    """Saved, opened and saved again a model has the same bytes; where its weights lie changes no bit of what it computes."""
    artifact, expected = ModelArtifact.of(model), outputs_of(model)
    with TemporaryDirectory() as name:
        folder = Path(name)
        first, again = artifact.save(folder / "a.onnx"), folder / "b.onnx"
        ModelArtifact.of(first.load()).save(again)
        assert again.read_bytes() == (folder / "a.onnx").read_bytes() == first.content
        onnx.save(
            onnx.load(again),
            folder / "c.onnx",
            save_as_external_data=True,
            location="c.bin",
            size_threshold=0,
        )
        mapped = ModelArtifact.open(folder / "c.onnx", Limits(embed_bytes=1))
        for opened in (first, ModelArtifact.open(folder / "c.onnx"), mapped, mapped.save(folder / "d.onnx")):
            assert_equal(expected, outputs_of(opened.load()))
        mapped.save(folder / "d.onnx", force=True)
        twins = [{path.suffix: path.read_bytes() for path in folder.glob("d.onnx*")} for _ in range(2)]
        assert twins[0] == twins[1]
    return True


def batches(model: ir.Model, seed: int) -> bool:
    """A batch of n is n batches of one, after a cut and a cleanup too."""
    if isinstance(model.graph.inputs[0].shape[0], int):
        return False
    small = cut(model, chosen(model, 0.5, seed))
    CleanupPass()(small)
    feed = feed_of(model, 3)
    for graph in (model, small):
        single = [outputs_of(graph, {"x": sample[None]}) for sample in feed["x"]]
        stacked = [np.concatenate(parts) for parts in zip(*single, strict=True)]
        assert_close(graph, stacked, outputs_of(graph, feed), feed)
    return True


def renaming(model: ir.Model, seed: int) -> bool:
    """Other names, another order of the nodes, and Identities in between leave groups, cuts and the cleanup alike."""
    twin, names = disguised(model, np.random.default_rng(seed))
    assert structure(model) == structure(twin, names)
    assert_equal(outputs_of(model), judged(twin))
    labels = chosen(model, 0.5, seed)
    wanted = {footprint for footprint, label in footprints(model).items() if label in labels}
    same = np.array(
        [label for footprint, label in footprints(twin, names).items() if footprint in wanted], np.int64
    )
    assert len(same) == len(labels)
    assert_equal(outputs_of(cut(model, labels)), outputs_of(cut(twin, same)))
    clean, other = model.clone(), twin.clone()
    CleanupPass()(clean)
    CleanupPass()(other)
    assert sorted(node.op_type for node in clean.graph) == sorted(node.op_type for node in other.graph)
    assert_close(model, outputs_of(clean), outputs_of(other))
    return True


def accounting(model: ir.Model, seed: int) -> bool:
    """Parameters, bytes and multiply-accumulates are what a walk over the message and the formulas of its layers give."""
    for graph in (model, cut(model, chosen(model, 0.5, seed))):
        infer_shapes(graph)
        size, proto = measure_graph(graph), ir.to_proto(graph)
        assert (size.params, size.size_bytes, size.nodes) == (*params_of(proto), len(proto.graph.node))
        assert size.macs == macs_of(proto)
        assert inspect(ModelArtifact.of(graph)).size == size
    return True


def a_group(model: ir.Model, seed: int) -> tuple[Group | None, np.random.Generator]:
    random = np.random.default_rng(seed)
    groups = [group for group in analyze(model).groups if group.size > 1]
    return (groups[random.integers(len(groups))] if groups else None), random


def assert_equal(expected: list[npt.NDArray], got: list[npt.NDArray]) -> None:
    """Insist on the same bits."""
    for first, second in zip(expected, got, strict=True):
        np.testing.assert_array_equal(first, second)


def without_shapes(model: ir.Model) -> bytes:
    """The bytes of a graph without those that inference writes: it numbers what it does not know anew each time."""
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    return proto.SerializeToString(deterministic=True)


def weights(model: ir.Model) -> dict[str, bytes]:
    """What neurons are cut from, to the bit."""
    held = {name: v.const_value for name, v in model.graph.initializers.items()}
    return {name: t.tobytes() for name, t in held.items() if t.dtype == ir.DataType.FLOAT}


RELATIONS: dict[str, Relation] = {
    f.__name__: f
    for f in (
        identity,
        dead_channel,
        permutation,
        composition,
        idempotence,
        storage,
        batches,
        renaming,
        accounting,
    )
}
