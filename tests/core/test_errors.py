from __future__ import annotations

import pytest
from sardonyx.core import (
    EnvironmentFault,
    ExpectationError,
    InputError,
    LimitError,
    Limits,
    MissingExtraError,
    ModelError,
    SardonyxError,
    UsageError,
)
from sardonyx.core.limits import refuse_above


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ExpectationError, 1),
        (UsageError, 2),
        (InputError, 3),
        (ModelError, 3),
        (LimitError, 4),
        (EnvironmentFault, 5),
    ],
)
def test_exit_codes(kind, code):
    with pytest.raises(SardonyxError) as caught:
        raise kind("cause", remedy="remedy")
    assert caught.value.exit_code == code
    assert str(caught.value) == "cause (remedy)"


@pytest.mark.parametrize(
    "text", ["two\nlines", "bell\x07", "\x1b[31mred\x1b[0m", "right\u202eto left", "a\0b"]
)
def test_messages_are_one_printable_line(text):
    with pytest.raises(ModelError) as caught:
        raise ModelError(text, remedy=text)
    assert caught.value.cause.isprintable()
    assert caught.value.remedy.isprintable()


def test_a_missing_extra_says_how_to_get_it():
    with pytest.raises(EnvironmentFault, match=r'pip install "sardonyx\[torch\]"'):
        raise MissingExtraError("torch", "torch")


@pytest.mark.parametrize("exponent", [4, 30, 100_000])
def test_a_limit_names_itself(exponent):
    with pytest.raises(LimitError, match=r"Limits\.nodes") as caught:
        refuse_above(2**exponent, 10, "nodes", "nodes")
    assert len(caught.value.cause) < 100


@pytest.mark.parametrize("name", Limits.__dataclass_fields__)
def test_every_limit_can_be_set(name):
    assert getattr(Limits(**{name: 1}), name) == 1
    refuse_above(1, 1, name, name)
