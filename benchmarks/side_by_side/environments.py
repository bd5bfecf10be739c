"""The tools of a comparison: their environments, and how they are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).absolute().parent
ENVIRONMENTS = HERE / ".venvs"

_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@dataclass(frozen=True)
class Peer:
    """A tool, in an environment of its own or in this one.

    Attributes:
        name: Its distribution.
        version: The version compared with.
        worker: The script that does its jobs.
        settings: What the worker is told, for each setting.
        beside: Distributions that it runs beside, at the versions of this environment.
        extra: What of it is installed along, in pip's words.
        is_here: Whether it is in this environment.
        needs_torch: Whether it takes torch modules, and nothing else.
    """

    name: str
    version: str
    worker: Path
    settings: Mapping[str, Mapping[str, Any]]
    beside: tuple[str, ...] = ()
    extra: str = ""
    is_here: bool = False
    needs_torch: bool = False

    @property
    def requirements(self) -> list[str]:
        """What pip installs."""
        same = [f"{name}=={metadata.version(name).split('+')[0]}" for name in self.beside]
        extra = f"[{self.extra}]" if self.extra else ""
        return [f"{self.name}{extra}=={self.version}", *same]

    def python(self, environments: Path) -> Path:
        """The interpreter of its environment, there or not."""
        if self.is_here:
            return Path(sys.executable)
        folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return environments / self.name / folder

    def is_installed(self, environments: Path) -> bool:
        """Whether its environment holds it, in the version compared with."""
        python = self.python(environments)
        if not python.exists():
            return False
        done = subprocess.run(
            [python, "-c", _VERSION, self.name], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() == self.version


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    Attributes:
        seconds: The call that made its file.
        peak_bytes: The most memory that the process has held up to its end; None where the system does not say.
        error: Why there is no file; empty where there is one.
    """

    seconds: float | None = None
    peak_bytes: int | None = None
    error: str = ""


def ask(
    peer: Peer, environments: Path, job: Mapping[str, Any], longest: float | None = None
) -> dict[str, Answer]:
    """Have a tool's worker do a job in its environment.

    Args:
        peer: The tool.
        environments: Where the environments are.
        job: What it is told; ``cases`` maps names to output files.
        longest: Seconds after which the worker is ended.

    Returns:
        The answer for each case.
    """
    with tempfile.TemporaryDirectory() as scratch:
        task, answers = Path(scratch, "job.json"), Path(scratch, "answers")
        task.write_text(json.dumps({**job, "answers": str(answers)}), encoding="utf8")
        ended = _run([peer.python(environments), peer.worker, task], longest)
        lines = answers.read_text(encoding="utf8").splitlines() if answers.exists() else []
    said = {answer.pop("case"): answer for answer in map(json.loads, lines)}
    return {case: Answer(**said.get(case, {"error": ended})) for case in job["cases"]}


def install(wanted: Iterable[Peer], environments: Path) -> dict[str, str]:
    """Make the environments that are not there yet; pip installs from wherever it is set up to.

    Args:
        wanted: The tools.
        environments: The folder for the environments.

    Returns:
        For each tool that could not be installed, the first line of the reason.
    """
    lacking: dict[str, str] = {}
    for peer in wanted:
        if not peer.is_here and not peer.is_installed(environments):
            print(f"installing {peer.name} {peer.version}", file=sys.stderr, flush=True)
            python = peer.python(environments)
            if not python.exists():
                venv.create(environments / peer.name, with_pip=True)
            command = [str(python), "-m", "pip", "install", "--quiet", *peer.requirements]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
                lacking[peer.name] = next((line for line in said if line.startswith("ERROR")), said[-1])
    return lacking


def _run(command: list[Path], longest: float | None) -> str:
    """Run a worker, and say how it ended, for cases that it left without an answer."""
    known = {**os.environ, "PYTHONPATH": str(HERE)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=longest, env=known
        )
    except subprocess.TimeoutExpired:
        return f"not done after {longest:.0f} s"
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return f"the process ended with {done.returncode}: {last}"
