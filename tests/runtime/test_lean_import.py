from __future__ import annotations

import subprocess
import sys


def test_importing_the_harness_loads_no_runtime() -> None:
    code = "import sys, sardonyx.runtime; print([m for m in ('onnxruntime', 'torch', 'scipy.stats') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout.strip() == "[]"
