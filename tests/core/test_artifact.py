from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sardonyx.core import (
    LimitError,
    Limits,
    ModelArtifact,
    ModelError,
    SardonyxError,
    StorageError,
    UsageError,
)

SMALL = Limits(embed_bytes=10_000)
"""As if one message held no more than 10 kB."""


@pytest.fixture
def large(model):
    """A graph with 40 kB of weights."""
    made = model("g (float[100] x) => (float[100] y) { z = MatMul(x, v)  y = Add(z, w) }")
    random = np.random.default_rng(0)
    for name, shape in {"v": (100, 100), "w": (100,)}.items():
        made.graph.initializer.append(
            onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        )
    return ir.from_proto(made)


def test_says_what_it_is(write):
    path = write()
    artifact = ModelArtifact.open(str(path))
    assert artifact.content == path.read_bytes()
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (artifact.path, artifact.name, artifact.size_bytes) == (path, "m.onnx", path.stat().st_size)
    assert [str(spec) for spec in (*artifact.inputs, *artifact.outputs)] == ["x: float32 4", "y: float32 4"]
    assert "content" not in repr(artifact)


def test_load_is_fresh_every_time(write):
    artifact = ModelArtifact.open(write())
    graph = artifact.load()
    graph.graph.node(0).op_type = "Mul"
    graph.graph.initializers["w"].const_value = ir.tensor(np.zeros(4, np.float32), name="w")
    again = artifact.load()
    assert again.graph.node(0).op_type == "Add"
    assert again.graph.initializers["w"].const_value.numpy().tolist() == [0, 1, 2, 3]


def test_it_cannot_be_changed(write):
    artifact = ModelArtifact.open(write())
    with pytest.raises(AttributeError):
        artifact.name = "other"


def test_save_and_open_again(write, tmp_path):
    artifact = ModelArtifact.open(write())
    saved = artifact.save(tmp_path / "s.onnx")
    assert saved.sha256 == artifact.sha256
    assert saved.path == tmp_path / "s.onnx"
    with pytest.raises(UsageError, match="exists"):
        artifact.save(tmp_path / "s.onnx")
    assert artifact.save(tmp_path / "s.onnx", force=True).sha256 == artifact.sha256


def test_of_a_graph_in_memory(write):
    artifact = ModelArtifact.of(ModelArtifact.open(write()).load())
    assert (artifact.path, artifact.name) == (None, "g")
    assert artifact.sha256 == hashlib.sha256(artifact.content).hexdigest()


def test_of_a_broken_graph(write):
    graph = ModelArtifact.open(write()).load()
    graph.graph.outputs[0].shape = ir.Shape([5])
    with pytest.raises(ModelError, match="shape inference failed"):
        ModelArtifact.of(graph)


def test_of_does_not_change_the_graph(large):
    before = ir.to_proto(large).SerializeToString(deterministic=True)
    ModelArtifact.of(large, SMALL)
    assert ir.to_proto(large).SerializeToString(deterministic=True) == before


def test_large_weights_go_to_a_file_beside(large, tmp_path):
    saved = ModelArtifact.of(large, SMALL).save(tmp_path / "m.onnx")
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == "m.onnx"
    assert len(names) == 2
    assert (tmp_path / "m.onnx").stat().st_size < 2000
    assert saved.size_bytes == sum(p.stat().st_size for p in tmp_path.iterdir())
    for name in "vw":
        stored = saved.load().graph.initializers[name].const_value.numpy()
        assert np.array_equal(stored, large.graph.initializers[name].const_value.numpy())


def test_large_weights_do_not_fit_content(large):
    with pytest.raises(LimitError, match="too large for one protobuf message"):
        _ = ModelArtifact.of(large, SMALL).content


def test_the_hash_of_large_weights_follows_every_weight(large):
    first = ModelArtifact.of(large, SMALL).sha256
    assert ModelArtifact.of(large, SMALL).sha256 == first
    value = large.graph.initializers["v"]
    value.const_value = ir.tensor(value.const_value.numpy() + 1, name="v")
    assert ModelArtifact.of(large, SMALL).sha256 != first


def test_a_later_save_removes_the_older_data(large, tmp_path):
    ModelArtifact.of(large, SMALL).save(tmp_path / "m.onnx")
    (tmp_path / "m.onnx.mine.data").touch()
    value = large.graph.initializers["v"]
    value.const_value = ir.tensor(value.const_value.numpy() + 1, name="v")
    ModelArtifact.of(large, SMALL).save(tmp_path / "m.onnx", force=True)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("step", range(4))
def test_a_crash_while_saving_large_weights_leaves_the_old_model(large, tmp_path, monkeypatch, step):
    old = ModelArtifact.of(large, SMALL).save(tmp_path / "m.onnx")
    before = sorted(tmp_path.iterdir())
    value = large.graph.initializers["v"]
    value.const_value = ir.tensor(value.const_value.numpy() + 1, name="v")
    new, calls = ModelArtifact.of(large, SMALL), itertools.count()

    def failing(real):
        def call(*args):
            if next(calls) == step:
                raise OSError("power")
            return real(*args)

        return call

    for name in ("replace", "fsync"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    with pytest.raises(StorageError):
        new.save(tmp_path / "m.onnx", force=True)
    assert ModelArtifact.open(tmp_path / "m.onnx", SMALL).sha256 == old.sha256
    assert set(before) <= set(tmp_path.iterdir())


def test_bfloat16_and_int4_weights_outside(large, tmp_path):
    for name, kind in (("b", ir.DataType.BFLOAT16), ("i", ir.DataType.INT4)):
        tensor = ir.tensor(np.arange(-6, 6).repeat(1000).astype(kind.numpy()) // 2, dtype=kind, name=name)
        large.graph.register_initializer(ir.Value(name=name, const_value=tensor))
    loaded = ModelArtifact.of(large, SMALL).save(tmp_path / "m.onnx").load()
    for name in "bi":
        want = large.graph.initializers[name].const_value
        assert np.array_equal(loaded.graph.initializers[name].const_value.numpy(), want.numpy())


def test_opening_needs_no_runtime(write):
    code = (
        "import sys; from sardonyx.core import ModelArtifact; ModelArtifact.open(sys.argv[1]);"
        "assert not {'onnxruntime', 'torch', 'scipy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(write())], check=False, cwd="/").returncode == 0


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_raise_only_our_errors(data, tmp_path, model):
    good = bytearray(model().SerializeToString())
    kind = data.draw(st.sampled_from(["flip", "cut", "splice"]))
    at = data.draw(st.integers(0, len(good) - 1))
    if kind == "flip":
        good[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del good[at : at + data.draw(st.integers(1, 40))]
    else:
        good[at:at] = data.draw(st.binary(min_size=1, max_size=12))
    (tmp_path / "m.onnx").write_bytes(good)
    with contextlib.suppress(SardonyxError):
        ModelArtifact.open(tmp_path / "m.onnx").load()
