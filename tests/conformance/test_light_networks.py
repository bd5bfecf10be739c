"""Nine well-known networks, with seeded weights, from the file to a verified bundle by the command line."""

from __future__ import annotations

import numpy as np
import pytest
from light_networks import NETWORKS, SAMPLES, SMALL, Journey, take

DEFAULT = "squeezenet"
STAGES = ("float", "pruned", "healed", "int8")
CLOSE = 0.1
"""How far integers may take the outputs from those of the float model that they were made of, of the outputs' norm."""


@pytest.fixture(
    scope="module",
    params=[
        name if name == DEFAULT else pytest.param(name, marks=pytest.mark.slow)
        for name in (DEFAULT, *(name for name in NETWORKS if name != DEFAULT))
    ],
)
def journey(request, tmp_path_factory) -> Journey:
    return take(request.param, tmp_path_factory.mktemp(request.param))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


def test_every_command_succeeds(journey):
    assert journey.failures == {}
    assert list(journey.documents) == ["prune", "heal", "quantize", "package", "verify"]


def test_files_get_smaller(journey):
    whole, pruned, healed, int8 = (journey.size(stage) for stage in STAGES)
    assert pruned < 0.6 * whole
    assert healed == pytest.approx(pruned, rel=0.01)
    assert int8 < 0.4 * healed


def test_a_cut_is_proven_and_leaves_what_was_asked_for(journey):
    report = journey.documents["prune"]["report"]
    assert report["proof"]["largest_difference"] <= report["proof"]["tolerance"]
    assert report["after"]["params"] <= 0.5 * report["before"]["params"]


def test_outputs_are_finite_and_of_the_same_shape(journey):
    outputs = [journey.outputs(stage) for stage in STAGES]
    assert {array.shape for array in outputs} == {(SAMPLES, *outputs[0].shape[1:])}
    assert all(np.isfinite(array).all() and array.any() for array in outputs)


def test_healing_brings_outputs_nearer_or_leaves_them_close(journey):
    whole, pruned, healed = (journey.outputs(stage) for stage in ("float", "pruned", "healed"))
    assert distance(pruned, healed) > 0.0
    assert distance(whole, healed) < max(distance(whole, pruned), CLOSE)


def test_integers_stay_close_to_the_floats_they_were_made_of(journey):
    assert 0.0 < distance(journey.outputs("healed"), journey.outputs("int8")) < CLOSE


def test_the_bundle_is_verified(journey):
    document = journey.documents["verify"]
    assert document["passed"]
    assert {check["status"] for check in document["checks"]} == {"passed"}
    largest = max((journey.folder / "bundle").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    journey.call("verify", journey.folder / "bundle")
    assert journey.failures.pop("verify").startswith("exit code 1")


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_repair_brings_outputs_nearer(tmp_path, name):
    (tmp_path / "cut").mkdir()
    (tmp_path / "repaired").mkdir()
    cut, repaired = take(name, tmp_path / "cut"), take(name, tmp_path / "repaired", repair=True)
    assert repaired.failures == {}
    away = [distance(one.outputs("float"), one.outputs("pruned")) for one in (cut, repaired)]
    assert away[1] < away[0]
