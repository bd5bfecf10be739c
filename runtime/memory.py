"""Peak memory of a model, measured in a process of its own, because a process's peak never goes down."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np

from ..core import ModelArtifact
from ..core.errors import EnvironmentFault, ModelError
from ..core.tensors import Feed
from .custom_metric import model_path

_CHILD = """
import io, pathlib, sys
import numpy as np
import onnxruntime as ort

def status(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

model, threads = sys.argv[1], int(sys.argv[2])
with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as file:
    feed = {name: file[name] for name in file.files}
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # the peak starts anew from here
before = status("VmRSS")
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.log_severity_level = 4
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
for _ in range(2):
    session.run(None, feed)
print(max(status("VmHWM") - before, 0))
"""

_TIMEOUT_S = 120


def peak_memory_bytes(model: ModelArtifact, feed: Feed, threads: int = 0) -> int:
    """How much a process grows at its peak when it loads a model and runs one batch on the CPU.

    Args:
        model: The model.
        feed: The batch.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.

    Raises:
        EnvironmentFault: This system is not Linux.
        ModelError: The run failed or took longer than two minutes.
    """
    if sys.platform != "linux":
        raise EnvironmentFault("peak memory can be read on Linux only", remedy="measure without memory")
    samples = io.BytesIO()
    np.savez(samples, **feed)  # type: ignore[arg-type]
    with model_path(model) as path:
        command = [sys.executable, "-c", _CHILD, str(path.absolute()), str(threads)]
        try:
            done = subprocess.run(
                command, input=samples.getvalue(), capture_output=True, timeout=_TIMEOUT_S, check=True
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            raise ModelError(
                "the model failed in a process of its own", remedy="measure without memory"
            ) from error
    return int(done.stdout)
