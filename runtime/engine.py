"""ONNX Runtime, and how its sessions are set up."""

from __future__ import annotations

from typing import Any

from ..calib_data.engine import OLDEST, check_version, load_onnxruntime

__all__ = ["OLDEST", "check_version", "load_onnxruntime", "quiet_options"]


def quiet_options(ort: Any, threads: int) -> Any:
    """Session options with a thread count and without log lines (errors are raised, not logged).

    Args:
        ort: The module.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return options
