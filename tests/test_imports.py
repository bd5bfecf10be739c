"""Importing is light: libraries are loaded by what uses them, and the public names are all there."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sardonyx

HEAVY = ("torch", "onnxruntime", "onnx", "onnx_ir", "onnxscript", "numpy", "scipy", "pydantic", "matplotlib")
RUNTIMES = ("torch", "onnxruntime")


def loaded_by(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules a statement loads, in a process of its own."""
    source = f"{statement}\nimport sys\nprint(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement", ["import sardonyx", "import sardonyx.cli.app", "import sardonyx.pipeline"]
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement, HEAVY) == []


@pytest.mark.parametrize(
    "package",
    [
        "core.artifact",
        "calib_data",
        "exporter",
        "training",
        "passes.pruning",
        "passes.quantization",
        "runtime",
        "deploy",
    ],
)
def test_no_package_loads_a_runtime_by_itself(package: str) -> None:
    assert loaded_by(f"import sardonyx.{package}", RUNTIMES) == []


@pytest.mark.parametrize(
    "name", ["prune", "quantize", "package", "compare", "open_model", "Recipe", "CalibrationData"]
)
def test_naming_a_verb_loads_no_runtime(name: str) -> None:
    assert loaded_by(f"from sardonyx import {name}", RUNTIMES) == []


@pytest.mark.parametrize("name", sardonyx.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(sardonyx, name) is not None
    assert name in dir(sardonyx)


@pytest.mark.parametrize("package", ["core", "deploy", "pipeline"])
def test_every_lazy_name_of_a_package_is_there(package: str) -> None:
    from importlib import import_module

    module = import_module(f"sardonyx.{package}")
    assert sorted(module._HOME) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("package", ["sardonyx", "sardonyx.core", "sardonyx.pipeline"])
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    from importlib import import_module

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import_module(package).nothing  # noqa: B018 - reading it is the test
