"""ONNX Runtime's lists: read strictly, or not at all."""

from __future__ import annotations

import pytest
from sardonyx.core.errors import EnvironmentFault
from sardonyx.deploy.mobile_lists import parse_list, read_list
from sardonyx.deploy.usability_tables import PROVIDERS

LISTS = [provider for provider in PROVIDERS if provider.list_name]
HEAD = "<!--\nabout\n-->\n|Operator|Note|\n|--------|------|\n"


@pytest.mark.parametrize("provider", LISTS, ids=lambda p: p.name)
def test_the_installed_list_is_what_the_conditions_were_written_for(provider) -> None:
    """An operator without a rule would be taken on its name alone, and its note would be passed on as not checked."""
    listed = read_list(provider.list_name)
    assert listed["ai.onnx:Conv"]
    assert set(listed) <= set(provider.rules)
    unlike = {key for key, note in listed.items() if note != provider.rules[key].note}
    assert unlike <= {"ai.onnx:Resize"}


def test_slips_of_the_pen_are_read_as_they_are_meant() -> None:
    text = HEAD + "|ai.onnx:Argmax||\n|ai.onnx.ReduceSum|One.<br/>Two.|\n|com.microsoft:QLinearAdd|a || b|\n"
    assert parse_list(text, "a.md") == {
        "ai.onnx:ArgMax": "",
        "ai.onnx:ReduceSum": "One. Two.",
        "com.microsoft:QLinearAdd": "a || b",
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("|Operator|Versions|\n|---|---|\n|ai.onnx:Add|7|\n", "another table"),
        ("", "another table"),
        (HEAD, "names no operator"),
        (HEAD + "|Add||\n", "another form"),
        (HEAD + "|ai.onnx:Add|\n", "another form"),
        (HEAD + "|ai.onnx:Add||since 1.14|\n", "another form"),
        (HEAD + "* ai.onnx:Add\n", "another form"),
        (HEAD + "|ai.onnx:Add||\n|ai.onnx:Add||\n", "twice"),
    ],
)
def test_another_form_is_an_error(text, word) -> None:
    with pytest.raises(EnvironmentFault, match=word) as caught:
        parse_list(text, "a.md")
    assert "1.22" in caught.value.remedy


def test_a_list_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EnvironmentFault, match=r"no readable nothing\.md"):
        read_list("nothing.md")
