"""Every operator case that the onnx wheel generates: equal, or refused by name when the graph is built."""

from __future__ import annotations

import pytest
from operator_cases import MODULES, run_module

FLOOR = 1729
"""How many cases must pass."""

WITHOUT_FUNCTION = frozenset(
    (
        "Bernoulli BitCast DeformConv ImageDecoder "
        "MelWeightMatrix Optional OptionalGetElement OptionalHasElement RandomUniformLike "
        "RegexFullMatch SequenceMap StringConcat StringNormalizer StringSplit TfIdfVectorizer "
        "ArrayFeatureExtractor Binarizer LabelEncoder TreeEnsemble FlexAttention Adagrad Adam Momentum"
    ).split()
)
"""Operators that are refused: random, of strings, of trees, optimizers, and some that no network here has."""

OTHER_REASONS = (
    "torch does not compute in ",
    "an input decides whether it drops",
    "the graph does not state the type to quantize to",
    "older than",
    "another rank than two",
    "maxima of samples are not supported",
)
"""Why a node of an operator that has a function may be refused."""


@pytest.mark.parametrize("module", MODULES)
def test_no_case_fails(module: str) -> None:
    outcome = run_module(module)
    assert outcome.failed == {}
    for cause in outcome.refused.values():
        is_named = any(f"{name})" in cause for name in WITHOUT_FUNCTION)
        assert is_named or any(reason in cause for reason in OTHER_REASONS), cause


def test_most_cases_pass() -> None:
    outcomes = [run_module(module) for module in MODULES]
    assert sum(len(outcome.passed) for outcome in outcomes) >= FLOOR
    assert sum(len(outcome.failed) for outcome in outcomes) == 0
