from __future__ import annotations

import pytest
from sardonyx.core.errors import EnvironmentFault
from sardonyx.pipeline import diagnose, doctor
from sardonyx.pipeline.requirements import is_within, runtime_finding, stated_bounds, version_findings

BOUNDS = {"onnx": ">=1.21", "onnx-ir": ">=1.1,<2", "torch": ">=2.10"}


@pytest.mark.parametrize(
    ("version", "bounds", "within"),
    [
        ("1.21", ">=1.21", True),
        ("1.21.0", ">=1.21", True),
        ("1.9", ">=1.21", False),
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9.1rc1", ">=2.10", False),
        ("1.9.9", ">=1.1,<2", True),
        ("2.0.0", ">=1.1,<2", False),
        ("3", "", True),
    ],
)
def test_versions_are_compared_number_by_number(version: str, bounds: str, within: bool) -> None:
    assert is_within(version, bounds) == within


def test_bounds_are_read_from_requirements() -> None:
    lines = ['torch >=2.10 ; extra == "torch"', "onnx-ir<2,>=1.1", "plain", 'sardonyx[cpu]; extra == "all"']
    assert stated_bounds(lines) == {"torch": ">=2.10", "onnx-ir": ">=1.1,<2"}
    assert {"onnx", "onnx-ir", "torch", "onnxruntime"} <= set(stated_bounds())


def test_what_is_too_old_is_named_with_the_command() -> None:
    installed = {"onnx": "1.9.0", "onnx-ir": "1.1.0"}
    (found,) = version_findings(BOUNDS, installed.get)
    assert not found.is_ok
    assert "onnx 1.9.0" in found.text
    assert found.command == 'pip install -U "onnx>=1.21"'
    assert version_findings(BOUNDS, {"onnx": "1.22"}.get)[0].is_ok


@pytest.mark.parametrize(
    ("installed", "is_ok", "command"),
    [
        ({"onnxruntime": "1.32.0"}, True, ""),
        ({"onnxruntime-gpu": "1.31.1"}, True, ""),
        ({}, False, 'pip install "sardonyx[cpu]"'),
        (
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"},
            False,
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        ),
    ],
)
def test_two_builds_of_onnx_runtime_are_a_warning(
    installed: dict[str, str], is_ok: bool, command: str
) -> None:
    found = runtime_finding(installed.get)
    assert (found.is_ok, found.command) == (is_ok, command)


def test_an_onnx_runtime_that_cannot_be_used_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise EnvironmentFault("onnxruntime 1.9 is older than 1.22", remedy="run: pip install -U onnxruntime")

    with pytest.raises(EnvironmentFault):
        refuse()
    monkeypatch.setattr(doctor, "list_providers", refuse)
    found = diagnose()
    assert found.providers == ()
    assert [f.command for f in found.findings if "older" in f.text] == ["pip install -U onnxruntime"]
