"""How lean the start is: what is loaded, how fast the help answers, what an install without torch takes.

python benchmarks/startup.py             # modules and time
python benchmarks/startup.py --install . # and the size of a fresh install with the extra `cpu`
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HEAVY = ("torch", "onnxruntime", "numpy", "onnx", "scipy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--install", metavar="PROJECT", help="measure a fresh install of this folder or wheel"
    )
    parser.add_argument("--constraints", default="constraints.txt")
    arguments = parser.parse_args()
    for what in ("import sardonyx", "import sardonyx.cli.app"):
        script = f"{what}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
        loaded = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        print(f"{what}: loads {loaded.strip()} of {list(HEAVY)}")
    seconds = [_help() for _ in range(10)]
    print(f"sardonyx --help: median of 10 {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s")
    if arguments.install:
        print(
            f'install of "sardonyx[cpu]": {_install(arguments.install, arguments.constraints) / 1e6:.0f} MB'
        )


def _help() -> float:
    start = time.monotonic()
    subprocess.run([Path(sys.executable).with_name("sardonyx"), "--help"], capture_output=True, check=True)
    return time.monotonic() - start


def _install(project: str, constraints: str) -> int:
    """Bytes that an install without torch takes, pip and setuptools left out."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [Path(folder, "bin", "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-c", constraints, f"{project}[cpu]"], check=True)
        files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
        own = ("pip", "setuptools")
        return sum(f.stat().st_size for f in files if not any(part in own for part in f.parts))


if __name__ == "__main__":
    main()
