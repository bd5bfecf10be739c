"""The tools that Sardonyx is compared with, and their settings.

    python benchmarks/pruning/peers.py

Makes an environment for each of them; pip installs from wherever it is set up to. Torch and ONNX Runtime get the
versions of this environment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).absolute().parents[1] / "side_by_side"))

from environments import ENVIRONMENTS, Peer, install

HERE = Path(__file__).absolute().parent


def _torch_pruning(importance: str, *, is_global: bool, **changes: Any) -> dict[str, Any]:
    return {"importance": importance, "is_global": is_global, "round_to": None, "restate": False, **changes}


def peers(multiple: int) -> tuple[Peer, ...]:
    """The tools compared with.

    Args:
        multiple: Channels that this machine's kernels like multiples of.
    """
    return (
        Peer(
            "torch-pruning",
            "1.6.1",
            HERE / "torch_pruning_worker.py",
            beside=("torch", "numpy", "safetensors"),
            needs_torch=True,
            settings={
                "L2, local": _torch_pruning("l2", is_global=False),
                "L2, global": _torch_pruning("l2", is_global=True),
                "Taylor, local": _torch_pruning("taylor", is_global=False),
                "Taylor, global": _torch_pruning("taylor", is_global=True),
                f"Taylor, global, round_to {multiple}": _torch_pruning(
                    "taylor", is_global=True, round_to=multiple
                ),
                "Taylor, global, statistics anew": _torch_pruning("taylor", is_global=True, restate=True),
            },
        ),
        Peer(
            "onnxsim",
            "0.8.1",
            HERE / "onnxsim_worker.py",
            beside=("onnx", "onnxruntime", "numpy"),
            settings={
                "L2, local": {"is_calibrated": False, "is_global": False},
                "L2, global": {"is_calibrated": False, "is_global": True},
                "Wanda, local": {"is_calibrated": True, "is_global": False},
                "Wanda, global": {"is_calibrated": True, "is_global": True},
            },
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="the folder that holds them")
    lacking = install(peers(1), parser.parse_args().environments)
    sys.exit("\n".join(f"{name}: {reason}" for name, reason in lacking.items()) or None)


if __name__ == "__main__":
    main()
