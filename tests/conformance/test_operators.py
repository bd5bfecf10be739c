"""Operator cases of the onnx wheel through every pass: what went in comes out, or is refused with a reason."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import conforming
import numpy as np
import onnx_ir as ir
import pytest
from conforming import Finding, findings
from operator_corpus import all_cases, sampled
from sardonyx.core import ModelArtifact, SardonyxError, errors
from sardonyx.core.errors import ModelError

SHARE = 20
"""One case of so many is tried unless all are."""

CASES = 2024
STAGES = {"door", "cleanup", "lowering", "coupling", "prepared", "prune", "prune widely", "quantize"}
NOT_RUNNABLE = re.compile(
    r"no kernel \w+|operator not known|opset too new|locale not installed|option not implemented|\[ONNXRuntimeError\]"
)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return [finding for case in sampled(all_cases(), SHARE) for finding in findings(case)]


def require_explained(found: list[Finding]) -> None:
    """Nothing differs, and what did not come out says why."""
    assert [finding for finding in found if finding.verdict == "different"] == []
    for finding in found:
        kind, _, cause = finding.reason.partition(": ")
        if finding.verdict == "refused":
            assert issubclass(getattr(errors, kind), SardonyxError), finding
            assert cause, finding
        if finding.verdict == "not runnable":
            assert NOT_RUNNABLE.match(finding.reason), finding


@pytest.mark.slow
def test_a_sample_is_equal_or_explained(found):
    require_explained(found)


@pytest.mark.slow
@pytest.mark.parametrize("stage", sorted(STAGES))
def test_most_of_a_sample_comes_through_each_pass(found, stage):
    tried = [finding.verdict for finding in found if finding.stage == stage]
    fine = sum(verdict not in {"refused", "not runnable", "different"} for verdict in tried)
    assert fine > 0.7 * len(tried)


@pytest.mark.slow
def test_all_are_equal_or_explained():
    cases = all_cases()
    assert len(cases) == CASES
    every = [finding for case in cases for finding in findings(case)]
    require_explained(every)
    assert {finding.stage for finding in every} == STAGES


# That the check can fail.

NET = """<ir_version: 8, opset_import: ["" : 17]> g (float[2,3,4] x, float[4] c) => (float[2,3,4] y) { y = Mul(x, c) }"""


@pytest.fixture
def case() -> SimpleNamespace:
    random = np.random.default_rng(0)
    x, c = random.random((2, 3, 4), np.float32), random.random(4, np.float32)
    model = ir.to_proto(ir.from_onnx_text(NET))
    return SimpleNamespace(name="multiplied", model=model, data_sets=[((x, c), (x * c,))])


def verdicts(case: SimpleNamespace, stage: str) -> set[str]:
    return {finding.verdict for finding in findings(case) if finding.stage == stage}


def wrong(model: ir.Model, operator: str = "Add") -> ir.Model:
    """Another operator where the case's own was."""
    (node,) = [node for node in model.graph if node.op_type == "Mul"]
    node.op_type = operator
    return model


def worse(artifact: ModelArtifact) -> ModelArtifact:
    return ModelArtifact.of(wrong(artifact.load()))


PATCHED = {
    "cleanup": ("clean", lambda step: lambda model: (worse(step(model)[0]), ())),
    "lowering": ("lower", lambda step: lambda model, **words: (worse(step(model, **words)[0]), ())),
    "prepared": (
        "prepare",
        lambda step: lambda *given: (p := step(*given)) and replace(p, model=wrong(p.model)),
    ),
}


def test_a_sound_case_differs_nowhere(case):
    every = list(findings(case))
    require_explained(every)
    assert {finding.stage for finding in every} == STAGES
    assert verdicts(case, "door") == {"equal"}


@pytest.mark.parametrize("stage", PATCHED)
def test_a_pass_that_changes_a_graph_is_noticed(monkeypatch, case, stage):
    name, damage = PATCHED[stage]
    monkeypatch.setattr(conforming, name, damage(getattr(conforming, name)))
    assert "different" in verdicts(case, stage)
    with pytest.raises(AssertionError):
        require_explained(list(findings(case)))


@pytest.mark.parametrize(
    ("error", "verdict"), [(KeyError("x"), "different"), (ModelError("no", remedy="so"), "refused")]
)
@pytest.mark.parametrize(
    ("stage", "name"),
    [("cleanup", "clean"), ("lowering", "lower"), ("prune", "prune"), ("quantize", "quantize")],
)
def test_an_error_is_typed_or_a_difference(monkeypatch, case, stage, name, error, verdict):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(conforming, name, fail)
    assert verdicts(case, stage) == {verdict}
