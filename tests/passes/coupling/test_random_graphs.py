"""What must hold of any graph: proven on random ones, `make fuzz` for as many as you like."""

from __future__ import annotations

import os

import numpy as np
import onnx_ir as ir
import pytest
from cuts import chosen, cut, prove, run_all
from graph_twins import permuted, relabelled
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_nets import random_nets
from sardonyx.core.errors import ModelError
from sardonyx.passes.coupling import analyze, cut_classes

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
    between = relabelled(model, first, gone, wanted)
    # A grouped convolution with one lane left is a depthwise one, with classes of another kind.
    assume(between is not None)
    assert_close(run_all(cut(model, labels)), run_all(cut(first, between)))


@examples(0.25)
@given(random_nets(), st.integers(0, 99))
def test_permuting_a_group_changes_nothing(model: ir.Model, seed: int) -> None:
    twin = permuted(model, np.random.default_rng(seed))
    assume(twin is not None)
    assert_close(run_all(model), run_all(twin))


@examples(0.05)
@given(random_nets())
def test_a_frozen_group_has_a_reason_and_cannot_be_cut(model: ir.Model) -> None:
    coupling = analyze(model)
    assert all(group.frozen.text for group in coupling.frozen)
    for group in coupling.frozen:
        if group.frozen.code != "no-consumer":  # those could go, to no end
            with pytest.raises(ModelError, match="frozen"):
                cut_classes(model.clone(), coupling, group.classes)
