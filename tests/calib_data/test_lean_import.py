from __future__ import annotations

import subprocess
import sys

import pytest
from sardonyx import calib_data


@pytest.mark.parametrize("package", ["torch", "onnxruntime", "sklearn"])
def test_importing_loads_no_runtime(package):
    code = f"import sys, sardonyx.calib_data; assert {package!r} not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd="/").returncode == 0


def test_every_public_name_is_there():
    assert all(getattr(calib_data, name) is not None for name in calib_data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = calib_data.nothing


@pytest.mark.parametrize(
    ("package", "call", "extra"),
    [
        ("sklearn", "from sardonyx.calib_data import open_data; open_data('digits')", "demo"),
        ("torch", "from sardonyx.calib_data import from_torch; from_torch([1])", "torch"),
    ],
)
def test_a_missing_package_names_its_extra(package, call, extra):
    code = f"import sys; sys.modules[{package!r}] = sys.modules[{package + '.datasets'!r}] = None\n{call}"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.run([sys.executable, "-c", code], check=True, cwd="/", capture_output=True, text=True)
    assert (
        f"MissingExtraError: {'scikit-learn' if extra == 'demo' else package} is not installed"
        in caught.value.stderr
    )
    assert f"sardonyx[{extra}]" in caught.value.stderr
