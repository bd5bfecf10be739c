"""The tools that are compared, Sardonyx among them, and their settings.

    python benchmarks/quantization/peers.py

Makes an environment for each that is not in this one; pip installs from wherever it is set up to. Torch and ONNX
Runtime get the versions of this environment where the tool lets them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).absolute().parents[1] / "side_by_side"))

from environments import ENVIRONMENTS, Peer, install

HERE = Path(__file__).absolute().parent
OURS = "sardonyx"
ONNXRUNTIME = "onnxruntime"
ONNXRUNTIME_DEFAULT = "default: S8S8, MinMax"
"""The setting that is what ``quantize_static`` does unless it is told otherwise."""


def tools(*, reduce_range: bool) -> tuple[Peer, ...]:
    """Sardonyx and the tools that it is compared with.

    Args:
        reduce_range: Whether this machine's kernels want weights of 7 bits.
    """
    return (
        _here(OURS, _SARDONYX),
        _here(ONNXRUNTIME, _onnxruntime(reduce_range)),
        _peer(
            "nncf",
            "3.4.0",
            {
                "default": {"preset": "PERFORMANCE", "model_type": None},
                "mixed": {"preset": "MIXED", "model_type": None},
                "mixed, transformer": {"preset": "MIXED", "model_type": "TRANSFORMER"},
            },
            beside=("onnx", "onnxruntime"),
        ),
        _peer(
            "aimet-onnx",
            "2.42.0",
            {
                "default": {"scheme": "min_max", "integer_bias": False},
                "integer biases": {"scheme": "min_max", "integer_bias": True},
                "tf_enhanced, integer biases": {"scheme": "tf_enhanced", "integer_bias": True},
            },
            beside=("torch", "onnxruntime"),
        ),
        _peer(
            "amd-quark",
            "0.13",
            {name: {"config": name} for name in ("A8W8", "U8S8_AAWS", "S8S8_AAWS")},
            beside=("torch", "onnxruntime"),
        ),
        _peer(
            "nvidia-modelopt",
            "0.47.0",
            {
                "default": {"method": "entropy", "float_type": "fp16"},
                "fp32": {"method": "entropy", "float_type": "fp32"},
                "max, fp32": {"method": "max", "float_type": "fp32"},
            },
            beside=("torch",),
            extra="onnx",
        ),
    )


_SARDONYX: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "--measure": {"measure": True},
    "--measure --batch 32": {"measure": True, "batch": 32},
    "--tool round": {"tools": ["round"]},
    "--method auto --tool round": {"method": "auto", "tools": ["round"]},
}
"""What Sardonyx is told, for each setting."""


def _onnxruntime(reduce_range: bool) -> dict[str, dict[str, Any]]:
    """Its defaults, and the types that suit an x86 CPU best, with every way to choose ranges."""
    default = {
        "prepare": False,
        "activations": "QInt8",
        "method": "MinMax",
        "per_channel": False,
        "reduce_range": False,
    }
    best = {**default, "prepare": True, "activations": "QUInt8", "per_channel": True}
    best["reduce_range"] = reduce_range
    weights = "per channel, 7 bits" if reduce_range else "per channel"
    return {
        ONNXRUNTIME_DEFAULT: default,
        **{
            f"U8S8 {weights}, {method}": {**best, "method": method}
            for method in ("MinMax", "Entropy", "Percentile")
        },
    }


def _here(name: str, settings: Mapping[str, Mapping[str, Any]]) -> Peer:
    return Peer(name, metadata.version(name), _worker(name), settings, is_here=True)


def _peer(name: str, version: str, settings: Mapping[str, Mapping[str, Any]], **others: Any) -> Peer:
    return Peer(name, version, _worker(name), settings, **others)


def _worker(name: str) -> Path:
    return HERE / f"{name.replace('-', '_')}_worker.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="the folder that holds them")
    lacking = install(tools(reduce_range=False), parser.parse_args().environments)
    sys.exit("\n".join(f"{name}: {reason}" for name, reason in lacking.items()) or None)


if __name__ == "__main__":
    main()
