"""Every tool in every setting on one model: a file each, or a reason for having none."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sardonyx as sx
from environments import Peer, ask
from sardonyx.core.tensors import TensorSpec
from subjects import Subject

_BATCH = 32
"""Samples in one run of a calibration, where the model leaves it free."""


@dataclass(frozen=True)
class Case:
    """One tool in one setting on one model.

    Attributes:
        tool: The tool.
        setting: Its setting.
        file: What came out; None where nothing did.
        seconds: The whole process, from its start to the file.
        call_seconds: The call alone, without the start and the imports.
        peak_bytes: The most memory that the process has held.
        note: Why there is no file.
    """

    tool: str
    setting: str
    file: Path | None = None
    seconds: float | None = None
    call_seconds: float | None = None
    peak_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """What all tools are given.

    Attributes:
        samples: The calibration samples, in a file.
        folder: Where files are put.
        environments: Where the peers' environments are.
        lacking: Why a tool is not installed, by its name.
        longest: Seconds after which a tool is given up.
    """

    samples: Path
    folder: Path
    environments: Path
    lacking: Mapping[str, str]
    longest: float

    def cases(self, subject: Subject, tools: Sequence[Peer]) -> list[Case]:
        """Quantize one model with every tool; the float model comes first.

        Every call has a process to itself, and a copy of the model in a folder of its own: some tools write beside it.
        """
        found = [Case("float32", "", subject.onnx)]
        for tool in tools:
            if tool.name in self.lacking:
                found.append(Case(tool.name, "", note=f"not installed: {self.lacking[tool.name]}"))
                continue
            for setting in tool.settings:
                print(f"{subject.name}: {tool.name}, {setting}", file=sys.stderr, flush=True)
                found.append(self._case(subject, tool, setting))
        return found

    def _case(self, subject: Subject, tool: Peer, setting: str) -> Case:
        words = "".join(c if c.isalnum() else "-" for c in f"{subject.name} {tool.name} {setting}")
        folder = self.folder / words
        folder.mkdir()
        model = sx.open_model(subject.onnx).save(folder / "model.onnx")
        spec = TensorSpec.of(model.load().graph.inputs[0])
        fixed = spec.shape[0] if spec.shape else None
        output = folder / f"{words}.onnx"
        job = {
            "onnx": str(folder / "model.onnx"),
            "input": spec.name,
            "batch": fixed if isinstance(fixed, int) else _BATCH,
            "samples": str(self.samples),
            "setting": tool.settings[setting],
            "cases": {words: str(output)},
        }
        start = time.monotonic()
        said = ask(tool, self.environments, job, self.longest)[words]
        case = Case(tool.name, setting, output, time.monotonic() - start, said.seconds, said.peak_bytes)
        return replace(case, file=None, note=said.error) if said.error else case
