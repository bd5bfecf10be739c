from __future__ import annotations

import pytest
from sardonyx.deploy.config_lines import parse_line, type_list


@pytest.mark.parametrize("line", ["", "   ", "# ai.onnx;11;Conv"])
def test_comments_say_nothing(line):
    assert parse_line(line) is None


@pytest.mark.parametrize(
    ("line", "keys", "names"),
    [
        ("ai.onnx;11;Conv", ("ai.onnx;11",), ("Conv",)),
        (" com.microsoft ; 1 ; FusedConv , QLinearAdd ", ("com.microsoft;1",), ("FusedConv", "QLinearAdd")),
        ("ai.onnx;11,13;Add,Cast", ("ai.onnx;11", "ai.onnx;13"), ("Add", "Cast")),
    ],
)
def test_operators_of_each_operator_set(line, keys, names):
    entry = parse_line(line)
    assert (entry.keys, entry.names, entry.accepted) == (keys, names, {})


def test_types_in_plain_words():
    entry = parse_line(
        'ai.onnx;13;Cast{"inputs": {"0": ["int64_t", "MLFloat16"]}, "outputs": {"0": ["std::string"]}},Erf'
    )
    assert entry.names == ("Cast", "Erf")
    assert entry.accepted == {"ai.onnx:Cast": {"inputs 0": ("float16", "int64"), "outputs 0": ("string",)}}


def test_types_that_belong_together_keep_their_order():
    entry = parse_line('ai.onnx;11;OneHot{"custom": [["int64_t", "float", "int64_t"]]}')
    assert entry.accepted == {"ai.onnx:OneHot": {"custom": ("int64,float,int64",)}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Conv", "it is not domain;opset;operators"),
        ("ai.onnx;Conv", "it is not domain;opset;operators"),
        ("ai.onnx;eleven;Conv", "it is not domain;opset;operators"),
        ("ai.onnx;11;", "an operator is expected at column 12"),
        ("ai.onnx;11;Conv,", "an operator is expected at column 17"),
        ("ai.onnx;11;Conv Add", "a comma is expected at column 17"),
        ('ai.onnx;11;Conv{"inputs": {"0": ["float"]}', "the types at column 16 are not JSON"),
        ('ai.onnx;11;Conv{"input": {}}', "a type list has inputs, outputs or custom"),
        ('ai.onnx;11;Conv{"inputs": {"first": ["float"]}}', "inputs of a type list are listed by number"),
        ('ai.onnx;11;Conv{"inputs": {"0": "float"}}', "types are a list of names"),
        ('ai.onnx;11;OneHot{"custom": {}}', "custom types are a list of lists"),
        ("!globally_allowed_types;float", "!globally_allowed_types is not supported"),
        ("ai.onnx;11;" + "A," * 600_000, "longer than any list"),
    ],
)
def test_a_malformed_line_is_refused(line, words):
    with pytest.raises(ValueError, match=words):
        parse_line(line)


@pytest.mark.parametrize("parsed", [None, [], {"inputs": []}, {"outputs": {"0": [1]}}, {"custom": [[1]]}])
def test_what_is_no_type_list_is_refused(parsed):
    with pytest.raises(ValueError, match=r"list"):
        type_list(parsed)
