"""What ONNX Runtime logs as it opens a model: read in a process of its own, whose standard error it is.

Some things ONNX Runtime tells nowhere else: why a provider did not start, or did not take a node.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core import ModelArtifact
from ..core.errors import SardonyxError
from .custom_metric import model_path
from .engine import load_onnxruntime
from .providers import loaded_libraries, register_library, short_name

_TIMEOUT_S = 120

_START = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import main; main()"
"""Modules are looked for where the parent has them, and never in the folder where the user happens to be."""

# Each line is logged when the graph is divided: by CUDA and WebGPU; by CUDA; by what keeps shapes on the CPU; by
# QNN; by CoreML, NNAPI and WebNN.
_NODE_LINES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"kernel not found in registries for Op type: (?P<op>\S+) node name: (?P<node>.+)"),
        "{provider} has no kernel of {op} for these types",
    ),
    (
        re.compile(
            r"kernel not supported\. Fallback to CPU .* for Op type: (?P<op>\S+) node name: (?P<node>.+)"
        ),
        "the kernel of {op} on {provider} does not take these attributes",
    ),
    (
        re.compile(r"Force fallback to CPU execution for node: (?P<node>.+?) because "),
        "ONNX Runtime takes the CPU to be faster: the node works on shapes or a few integers",
    ),
    (
        re.compile(r"(?P<op>\w+) node `(?P<node>.+?)` is not supported: (?P<why>.+)"),
        "{provider} does not support it: {why}",
    ),
    (
        re.compile(
            r"Operator type: \[(?P<op>[^\]]*)\] index: \[\d+\] name: \[(?P<node>.+)\] supported: \[(0|false)\]"
        ),
        "{provider} does not support {op} with these inputs and attributes",
    ),
)

_START_LINES = (
    re.compile(r"Failed to load library \S+ with error: (?P<why>.+)"),
    re.compile(r"(?P<why>CUDA failure \d+: [^;]+)"),
)


def log_of_opening(
    model: ModelArtifact, provider: str, provider_options: Mapping[str, str] | None = None
) -> list[str]:
    """What ONNX Runtime logs when it opens a model, however that ends.

    Args:
        model: The model.
        provider: The provider's full name.
        provider_options: Options for the provider.

    Returns:
        The lines; none where the process took longer than two minutes.
    """
    places = [place for place in sys.path if os.path.isabs(place)]
    with model_path(model) as path:
        request = {
            "model": str(path.absolute()),
            "provider": provider,
            "options": dict(provider_options or {}),
            "libraries": loaded_libraries(),
        }
        command = [sys.executable, "-c", _START, json.dumps(request), *places]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return []
    return done.stderr.decode("utf8", "replace").splitlines()


def reasons_of_nodes(lines: Iterable[str], provider: str) -> dict[str, str]:
    """Why nodes were not given to a provider.

    Args:
        lines: A log.
        provider: The provider's full name.

    Returns:
        Reasons by the names of nodes; nodes that no line speaks of are not in it.
    """
    found: dict[str, str] = {}
    for line in lines:
        for pattern, text in _NODE_LINES:
            if match := pattern.search(line):
                words = {**match.groupdict(), "provider": short_name(provider)}
                found[words["node"].strip()] = text.format(**words)
                break
    return found


def reason_not_started(lines: Iterable[str]) -> str | None:
    """Why a provider did not start; None where the log does not say."""
    for line in lines:
        for pattern in _START_LINES:
            if match := pattern.search(line):
                return match["why"].strip()
    return None


def main() -> None:
    """Open the model of a request with everything logged: what the child runs."""
    from .sessions import open_session  # which reads such logs itself

    request = json.loads(sys.argv[1])
    load_onnxruntime().set_default_logger_severity(0)
    try:
        for name, path in request["libraries"].items():
            register_library(name, path)
        model = ModelArtifact.open(Path(request["model"]))
        open_session(
            model,
            request["provider"],
            provider_options=request["options"],
            allow_fallback=True,
            verbose=True,
        )
    except SardonyxError as error:
        sys.exit(f"{error}")
