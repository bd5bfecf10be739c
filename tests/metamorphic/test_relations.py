"""Each relation holds of random graphs: the same few every time, new ones and many with `make fuzz`.

A graph that fails is printed as a file for tests/regressions, and written there where FUZZ_KEEP is set.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx_ir as ir
import pytest
from failing_graphs import keep, read, text_of_failure, write
from hypothesis import HealthCheck, assume, currently_in_test_context, given, note, seed, settings
from hypothesis import strategies as st
from nets import Net
from quantized_relations import QUANTIZED_RELATIONS
from random_nets import random_nets
from relations import RELATIONS, Relation

ALL = RELATIONS | QUANTIZED_RELATIONS
FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
EXAMPLES = 20
SHARES = {
    "identity": 0.05,
    "dead_channel": 0.12,
    "permutation": 0.15,
    "composition": 0.06,
    "idempotence": 0.09,
    "storage": 0.07,
    "batches": 0.06,
    "renaming": 0.04,
    "accounting": 0.08,
    "half_a_step": 0.04,
    "sixteen_bits": 0.02,
    "widening": 0.18,
    "quantize_static": 0.04,
}
"""Of the graphs in all that `make fuzz` asks for; relations that cost less are tried more often."""


def asked_of(name: str) -> int:
    return max(int(SHARES[name] * FUZZ_EXAMPLES), 1) if FUZZ_EXAMPLES else EXAMPLES


def settings_for(name: str) -> settings:
    return settings(
        max_examples=asked_of(name),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("name", ALL)
def test_relation(name: str, record_property) -> None:
    tried: set[bytes] = set()

    @settings_for(name)
    @given(random_nets(), st.integers(0, 999))
    def holds(model: ir.Model, number: int) -> None:
        applies = tried_once(name, ALL[name], model, number)
        assume(applies)
        tried.add(digest(model, number))

    try:
        (holds if FUZZ_EXAMPLES else seed(crc32(name.encode()))(holds))()
    finally:
        record_property("graphs", len(tried))
    assert 2 * len(tried) >= asked_of(name)


def tried_once(name: str, relation: Relation, model: ir.Model, number: int) -> bool:
    """Whether a relation applies to a graph; where it fails, the graph is kept."""
    try:
        return relation(model, number)
    except Exception:
        text = text_of_failure(model, name, number, lambda m, n: fails(relation, m, n))
        if currently_in_test_context():
            note(text)
        keep(text, name)
        raise


def fails(relation: Relation, model: ir.Model, number: int) -> bool:
    with suppress(Exception):
        relation(model, number)
        return False
    return True


def digest(model: ir.Model, number: int) -> bytes:
    message = ir.to_proto(model).SerializeToString(deterministic=True)
    return sha256(message + number.to_bytes(2, "big")).digest()


def nothing_is_pooled(model: ir.Model, number: int) -> bool:
    """No relation that holds."""
    assert all(node.op_type != "GlobalAveragePool" for node in model.graph)
    return True


def test_what_fails_is_kept_and_fails_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FUZZ_KEEP", "1")
    monkeypatch.setattr("failing_graphs.FOLDER", tmp_path)
    net = Net(seed=3)
    model = net.model(net.head(net.relu(net.conv(net.x, 4))))
    with pytest.raises(AssertionError):
        tried_once("nothing_is_pooled", nothing_is_pooled, model, 5)
    case = read((tmp_path / "found_nothing_is_pooled.txt").read_text(encoding="utf8"))
    assert (case.relation, case.seed) == ("nothing_is_pooled", 5)
    assert [n.op_type for n in case.model.graph] == [n.op_type for n in model.graph]
    with pytest.raises(AssertionError):
        nothing_is_pooled(case.model, case.seed)


def test_a_graph_that_fails_with_its_own_weights_only_keeps_them() -> None:
    net = Net(seed=3)
    model = net.model(net.head(net.relu(net.conv(net.x, 4))))
    first = model.graph.initializers["w0"].const_value.numpy()
    again = read(write(model, "none", 1)).model.graph.initializers["w0"].const_value.numpy()
    assert not np.array_equal(first, again)
    text = text_of_failure(model, "none", 1, lambda m, _: weight_of(m) == weight_of(model))
    assert weight_of(read(text).model) == weight_of(model)


def weight_of(model: ir.Model) -> bytes:
    return model.graph.initializers["w0"].const_value.tobytes()
