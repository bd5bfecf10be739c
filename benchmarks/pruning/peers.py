"""The tools that Sardonyx is compared with: their settings, their environments, and how they are asked.

    python benchmarks/pruning/peers.py

Makes an environment for each of them; pip installs from wherever it is set up to. Torch and ONNX Runtime get the
versions of this environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).absolute().parent
ENVIRONMENTS = HERE / ".venvs"


@dataclass(frozen=True)
class Peer:
    """A tool in an environment of its own.

    Attributes:
        name: Its distribution.
        version: The version compared with.
        beside: Distributions that it runs beside, at the versions of this environment.
        needs_torch: Whether it prunes torch modules, and nothing else.
        settings: What its worker is told, for each setting.
    """

    name: str
    version: str
    beside: tuple[str, ...]
    needs_torch: bool
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def requirements(self) -> list[str]:
        """What pip installs."""
        same = [f"{name}=={metadata.version(name).split('+')[0]}" for name in self.beside]
        return [f"{self.name}=={self.version}", *same]

    @property
    def worker(self) -> Path:
        """The script that does its jobs."""
        return HERE / f"{self.name.replace('-', '_')}_worker.py"

    def python(self, environments: Path) -> Path:
        """The interpreter of its environment, there or not."""
        folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return environments / self.name / folder


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
            ("torch", "numpy", "safetensors"),
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
            ("onnx", "onnxruntime", "numpy"),
            needs_torch=False,
            settings={
                "L2, local": {"is_calibrated": False, "is_global": False},
                "L2, global": {"is_calibrated": False, "is_global": True},
                "Wanda, local": {"is_calibrated": True, "is_global": False},
                "Wanda, global": {"is_calibrated": True, "is_global": True},
            },
        ),
    )


def ask(python: Path, worker: Path, job: Mapping[str, Any], scratch: Path) -> dict[str, dict[str, Any]]:
    """Have a worker do a job in its environment.

    Args:
        python: The environment's interpreter.
        worker: The script.
        job: What it is told; ``cases`` maps shares to output files.
        scratch: A folder for the job's file.

    Returns:
        For each share what the worker said: ``seconds`` or ``error``.
    """
    task = scratch / "job.json"
    task.write_text(json.dumps(job), encoding="utf8")
    done = subprocess.run([python, worker, task], capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"share"')]
    found = {answer["share"]: answer for answer in said}
    last = (done.stderr.strip().splitlines() or [""])[-1]
    died = {"error": f"the process ended with {done.returncode}: {last}"}
    return {share: found.get(share, died) for share in job["cases"]}


def make_environments(wanted: Iterable[Peer], environments: Path) -> None:
    """Make the environments that are not there yet."""
    for peer in wanted:
        python = peer.python(environments)
        if not python.exists():
            venv.create(environments / peer.name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *peer.requirements], check=True)
        print(f"{peer.name} {peer.version}: {environments / peer.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="the folder that holds them")
    make_environments(peers(1), parser.parse_args().environments)


if __name__ == "__main__":
    main()
