"""The package's face loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sardonyx.exporter
from sardonyx.core.errors import MissingExtraError


def test_import_loads_no_torch() -> None:
    code = "import sys, sardonyx.exporter; sys.exit(any(m in sys.modules for m in ('torch', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_exists() -> None:
    assert all(hasattr(sardonyx.exporter, name) for name in sardonyx.exporter.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = sardonyx.exporter.nothing_like_this


def test_a_missing_extra_is_named(monkeypatch) -> None:
    def missing(*_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("sardonyx.core.lazy.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"sardonyx\[torch\]"):
        _ = sardonyx.exporter.load_factory
