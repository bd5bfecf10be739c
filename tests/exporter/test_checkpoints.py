"""Weights come in without any code, and only if they fit."""

from __future__ import annotations

import os
import pickle
import warnings

import pytest
import torch
from safetensors.torch import save_file
from sardonyx.core.errors import ModelError
from sardonyx.exporter import load_weights
from torch import nn


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def net() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def other() -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_both_formats_fill_the_module(tmp_path, suffix) -> None:
    path = tmp_path / f"w{suffix}"
    save_file(other(), path) if suffix == ".safetensors" else torch.save(other(), path)
    module = net()
    load_weights(module, path)
    assert torch.equal(module.weight, torch.ones(2, 3))


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: {"weight": b}, lambda b: [b]])
@pytest.mark.parametrize("save", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path, wrap, save) -> None:
    target, path = tmp_path / "executed", tmp_path / "w.pt"
    save(wrap(Bomb(target)), path)
    with pytest.raises(ModelError) as caught:
        load_weights(net(), path)
    assert "safetensors" in caught.value.remedy
    assert not target.exists()


def test_a_pickled_module_is_refused(tmp_path) -> None:
    torch.save(net(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="refused"):
        load_weights(net(), tmp_path / "w.pt")


def test_torchscript_is_refused(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net(), torch.ones(1, 3)), tmp_path / "w.pt")
    with pytest.raises(ModelError) as caught:
        load_weights(net(), tmp_path / "w.pt")
    assert "safetensors" in caught.value.remedy


@pytest.mark.parametrize(
    "content", [{"state_dict": {"weight": torch.ones(1)}}, [torch.ones(1)], torch.ones(1)]
)
def test_anything_but_tensors_by_name_is_refused(tmp_path, content) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="tensors by name"):
        load_weights(net(), tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda s: s.pop("bias"), "missing: bias; unexpected: none"),
        (lambda s: s.update(extra=torch.ones(1)), "unexpected: extra"),
        (lambda s: s.update(weight=torch.ones(3, 2)), r"weight is \(3, 2\)"),
        (lambda s: s.update(weight=torch.ones(2, 3).half()), "torch.float16"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path, change, cause) -> None:
    state, module = other(), net()
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=cause):
        load_weights(module, tmp_path / "w.safetensors")
    assert torch.equal(module.weight, net().weight)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64])
def test_a_broken_safetensors_file_is_refused(tmp_path, content) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_weights(net(), tmp_path / "w.safetensors")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        load_weights(net(), tmp_path / "w.safetensors")
