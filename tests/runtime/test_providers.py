from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sardonyx.core.errors import EnvironmentFault, ProviderError, UsageError
from sardonyx.runtime import list_providers, register_library
from sardonyx.runtime.engine import check_version
from sardonyx.runtime.providers import (
    CPU,
    Choice,
    Offer,
    _register,
    check_started,
    choose_provider,
    full_name,
    short_name,
)

CUDA = "CUDAExecutionProvider"
OFFER = Offer(known=(CUDA, "QNNExecutionProvider", CPU), built_in=(CPU,), plugins=("MyNpuExecutionProvider",))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cpu", CPU),
        ("CUDA", CUDA),
        (CUDA, CUDA),
        ("cudaexecutionprovider", CUDA),
        ("directml", "DmlExecutionProvider"),
        ("trt", "TensorrtExecutionProvider"),
        ("mynpu", "MyNpuExecutionProvider"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert full_name(text, OFFER) == name


def test_a_name_that_no_provider_has_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'gpu0'") as caught:
        choose_provider("gpu0", OFFER)
    assert "cpu, mynpu" in caught.value.remedy


def test_an_absent_provider_is_refused_with_the_command_that_brings_it() -> None:
    with pytest.raises(ProviderError, match="does not have it") as caught:
        choose_provider("cuda", OFFER)
    assert 'pip install "onnxruntime-gpu>=1.22"' in caught.value.remedy
    assert caught.value.exit_code == 5


def test_a_fallback_that_is_allowed_is_said() -> None:
    choice = choose_provider("cuda", OFFER, allow_fallback=True)
    assert choice.name == CPU
    assert choice.note is not None
    assert CUDA in choice.note


def test_plugins_are_found() -> None:
    assert choose_provider("mynpu", OFFER) == Choice("MyNpuExecutionProvider", is_plugin=True)


class Plugins:
    """ONNX Runtime that loads libraries, as far as it is needed here."""

    __version__ = "1.32.0"

    def __init__(self, brings: tuple[str, ...] = (), fault: str = "") -> None:
        self.devices = [SimpleNamespace(ep_name=CPU)]
        self.brings, self.fault = brings, fault
        self.loaded: list[str] = []

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return list(self.devices)

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if self.fault:
            raise RuntimeError(self.fault)
        self.loaded.append(name)
        self.devices += [SimpleNamespace(ep_name=brought) for brought in self.brings]

    def unregister_execution_provider_library(self, name: str) -> None:
        self.loaded.remove(name)


NPU, BOTH = "MyNpuExecutionProvider", ("MyNpuExecutionProvider", "MyNpuExecutionProvider")


def test_a_library_is_loaded_once_and_names_its_providers(tmp_path: Path) -> None:
    (tmp_path / "npu.so").write_bytes(b"")
    ort, loaded = Plugins(BOTH), {}
    assert _register(ort, "npu", tmp_path / "npu.so", loaded) == (NPU,)
    assert _register(ort, "npu", tmp_path / "npu.so", loaded) == (NPU,)
    assert ort.loaded == ["npu"]
    with pytest.raises(UsageError, match="'npu' stands for"):
        _register(ort, "npu", tmp_path / "other.so", loaded)


@pytest.mark.parametrize(
    ("ort", "file", "cause"),
    [
        (Plugins(), "npu.so", "no device of its own"),
        (Plugins(fault="invalid ELF header"), "npu.so", "cannot be loaded: invalid ELF header"),
        (Plugins(BOTH), "none.so", "is not there"),
        (SimpleNamespace(__version__="1.22.0"), "npu.so", "loads no plug-in libraries"),
    ],
)
def test_a_library_that_brings_nothing_is_refused(tmp_path: Path, ort: Any, file: str, cause: str) -> None:
    (tmp_path / "npu.so").write_bytes(b"")
    loaded: dict[str, Any] = {}
    with pytest.raises(ProviderError, match=cause) as caught:
        _register(ort, "npu", tmp_path / file, loaded)
    assert caught.value.exit_code == 5
    assert loaded == {}
    assert not getattr(ort, "loaded", [])


def test_a_file_that_is_no_library_is_refused_by_onnx_runtime_itself(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(ProviderError, match="cannot be loaded"):
        register_library("text", tmp_path / "text.so")
    with pytest.raises(UsageError, match="has no name"):
        register_library("", tmp_path / "text.so")


def test_a_provider_that_does_not_start_is_refused_with_what_to_check() -> None:
    with pytest.raises(ProviderError, match="could not start it and took CPU") as caught:
        check_started(Choice(CUDA), [CPU])
    assert "nvidia-smi" in caught.value.remedy


@pytest.mark.parametrize(("providers", "is_note"), [([CUDA, CPU], False), ([CPU], True)])
def test_a_provider_that_does_not_start_is_a_note_where_allowed(providers: list[str], is_note: bool) -> None:
    assert (check_started(Choice(CUDA), providers, allow_fallback=True) is not None) == is_note


def test_an_old_runtime_is_refused() -> None:
    check_version("1.22.0")
    with pytest.raises(EnvironmentFault, match=r"older than 1\.22") as caught:
        check_version("1.9.1")
    assert caught.value.remedy == 'run: pip install -U "onnxruntime>=1.22"'


def test_the_list_starts_with_the_cpu_and_gives_a_remedy_for_what_is_absent() -> None:
    providers = list_providers()
    assert providers[0].name == CPU
    assert providers[0].short == short_name(CPU) == "cpu"
    assert all(bool(p.remedy) != p.is_available for p in providers)
