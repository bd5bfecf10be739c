"""Checker and shape inference in a process of their own, under limits of memory and time.

Only a model whose shapes cannot be proved harmless beforehand is sent here. The child reads a message on standard
input, and answers with an exit status and, for a refusal, its cause.
"""

from __future__ import annotations

import os
import subprocess
import sys

import onnx

from .bounds import limit_addresses
from .errors import EnvironmentFault, LimitError, ModelError
from .inference import infer_strictly, run_checker
from .limits import Limits, raise_limit

_REFUSED = 3
_START = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import main; sys.exit(main())"
"""Modules are looked for where the parent has them, and never in the folder where the user happens to be."""


def check_in_child(model: onnx.ModelProto, limits: Limits) -> None:
    """Check a model and infer its shapes in a child process.

    Raises:
        ModelError: The model is refused.
        LimitError: The child ran out of memory or time.
        EnvironmentFault: The child could not start.
    """
    places = [place for place in sys.path if os.path.isabs(place)]
    command = [sys.executable, "-c", _START, str(limits.inference_bytes), *places]
    try:
        done = subprocess.run(
            command,
            input=model.SerializeToString(),
            capture_output=True,
            timeout=limits.inference_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(f"took more than {limits.inference_s:g} s", "inference_s") from error
    if done.returncode == _REFUSED:
        raise ModelError(
            done.stdout.decode("utf8", "replace"), remedy="the graph contradicts itself; export it again"
        )
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        raise _refusal(f"took more than {limits.inference_bytes:,} bytes", "inference_bytes")
    if done.returncode:
        last = done.stderr.decode("utf8", "replace").strip().rpartition("\n")[2]
        raise EnvironmentFault(
            f"the process for shape inference failed: {last}", remedy="check the installation"
        )


def main() -> int:
    """Read, check, answer: what the child runs."""
    limit_addresses(int(sys.argv[1]))  # where the platform can; the time limit holds everywhere
    model = onnx.ModelProto.FromString(sys.stdin.buffer.read())
    try:
        run_checker(model)
        infer_strictly(model)
    except ModelError as error:
        sys.stdout.buffer.write(error.cause.encode())
        return _REFUSED
    return 0


def _refusal(words: str, name: str) -> LimitError:
    return LimitError(f"shape inference {words}", remedy=raise_limit(name))
