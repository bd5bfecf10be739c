"""Rows 22, 34 and 43: models that would fill the memory, run for ever, or bring code of their own."""

from __future__ import annotations

import json

import numpy as np
import pytest

FULL = """g (float[N,4] x) => (float[N,4] y) <int64[2] t = {262144, 262144}> {
    c = ConstantOfShape(t)  r = ReduceSum <keepdims = 0> (c)  y = Add(x, r)
}"""
ENDLESS = """g (float[N,4] x) => (float[N,4] y) <bool c = {1}> {
    y = Loop ("", c, x) <body = b (int64 it, bool on, float[N,4] v) => (bool go, float[N,4] w) {
        go = Identity(on)  w = Relu(v)
    }>
}"""
ENDS = "g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }"


@pytest.fixture
def given(samples):
    samples(x=np.ones((2, 4), np.float32))


@pytest.mark.row(22)
@pytest.mark.parametrize("flags", [(), ("--coupling",)])
def test_256_gib_are_not_computed_ahead(accepted, write, flags):
    write(FULL)
    accepted("inspect", "m.onnx", *flags)


@pytest.mark.row(22)
@pytest.mark.parametrize(
    ("flags", "words"), [(("--untrusted",), "ConstantOfShape"), (("--memory-limit", "1GiB"), "memory")]
)
def test_256_gib_are_refused_by_the_limit_of_memory(refused, write, given, flags, words):
    write(FULL)
    refused("compare", "m.onnx", "--data", "d.npz", "--metric", "cosine", *flags, code=4, says=words)


@pytest.mark.row(43)
def test_a_loop_without_end_is_stopped(refused, write, given):
    write(ENDLESS)
    said = refused("bench", "m.onnx", "--timeout", "8", "--rounds", "5", "--batch", "2", code=5, cpu_s=60)
    assert "its time of 8 s was up" in said


@pytest.mark.row(43)
def test_a_document_tells_how_far_it_came(run, write, given):
    write(ENDLESS)
    more = ("--data", "d.npz", "--metric", "cosine", "--untrusted", "--timeout", "8")
    outcome = run("compare", "m.onnx", *more, "--json", cpu_s=60)
    document = json.loads(outcome.out)
    assert (outcome.code, document["error"]["exit_code"]) == (5, 5)
    told = [step["step"] for step in document["partial"]["steps"]]
    assert told[:1] in ([], ["comparing"])  # it may be stopped before it says a word
    assert "error: the command did not end by itself" in outcome.err


@pytest.mark.row(34)
@pytest.mark.parametrize("verb", ["bench", "inspect", "compare"])
def test_no_flag_loads_a_library_of_operators(refused, write, verb):
    write()
    assert "--custom-ops" in refused(verb, "m.onnx", "--custom-ops", "evil.so", code=2)
