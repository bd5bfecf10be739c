"""What must hold of any graph: proven on random ones, `make fuzz` for as many as you like."""

from __future__ import annotations

import os

import numpy as np
import onnx_ir as ir
import pytest
from cuts import chosen, cut, prove, run_all
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from random_nets import random_nets
from sardonyx.core.errors import ModelError
from sardonyx.passes.coupling import Coupling, analyze, cut_classes

IS_FUZZING = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
CLOSE = 1e-5


def examples(share: float) -> settings:
    """A share of the examples in all; the same ones every time, unless the fuzz target asks for new ones."""
    return settings(
        max_examples=max(int(share * EXAMPLES), 1),
        deadline=None,
        derandomize=not IS_FUZZING,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def assert_close(expected: list[np.ndarray], got: list[np.ndarray]) -> None:
    for first, second in zip(expected, got, strict=True):
        assert first.shape == second.shape
        assert np.abs(first - second).max() <= CLOSE * np.abs(first).max() + 1e-12


@examples(0.5)
@given(random_nets(), st.sampled_from([0.25, 0.5, 0.9]), st.integers(0, 99), st.booleans())
def test_masked_equals_cut(model: ir.Model, share: float, seed: int, approximate: bool) -> None:
    labels = chosen(model, share, seed, approximate=approximate)
    assume(len(labels))
    assert prove(model, labels, approximate=approximate).largest_difference <= CLOSE


@examples(0.25)
@given(random_nets(), st.integers(0, 99))
def test_two_cuts_are_one(model: ir.Model, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(chosen(model, 0.6, seed))
    assume(len(labels) > 1)
    gone, wanted = labels[::2], labels[1::2]
    first = cut(model, gone)
    between = relabel(model, first, gone, wanted)
    # A grouped convolution with one lane left is a depthwise one, with classes of another kind.
    assume(between is not None)
    assert_close(run_all(cut(model, labels)), run_all(cut(first, between)))


def relabel(before: ir.Model, after: ir.Model, gone: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
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


@examples(0.25)
@given(random_nets(), st.integers(0, 99))
def test_permuting_a_group_changes_nothing(model: ir.Model, seed: int) -> None:
    permuted = model.clone()
    coupling, random = analyze(permuted), np.random.default_rng(seed)
    swaps = [
        alike(coupling, *random.choice(g.classes, 2, replace=False)) for g in coupling.groups if g.size > 1
    ]
    assume(any(swaps))
    event(f"swapped {sum(map(bool, swaps))} pairs")
    for places in filter(None, swaps):
        for (value, axis), (first, second) in places.items():
            # The entries of a list of indices say where neurons go, and that has not changed.
            if value.const_value is not None and value.const_value.dtype != ir.DataType.INT64:
                array = np.array(np.moveaxis(value.const_value.numpy(), axis, 0))
                array[[*first, *second]] = array[[*second, *first]]
                value.const_value = ir.tensor(
                    np.ascontiguousarray(np.moveaxis(array, 0, axis)), name=value.name
                )
    assert_close(run_all(model), run_all(permuted))


Places = dict[tuple[ir.Value, int], tuple[np.ndarray, np.ndarray]]


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


@examples(0.05)
@given(random_nets())
def test_a_frozen_group_has_a_reason_and_cannot_be_cut(model: ir.Model) -> None:
    coupling = analyze(model)
    assert all(group.frozen.text for group in coupling.frozen)
    for group in coupling.frozen:
        if group.frozen.code != "no-consumer":  # those could go, to no end
            with pytest.raises(ModelError, match="frozen"):
                cut_classes(model.clone(), coupling, group.classes)
