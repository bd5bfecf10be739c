"""Every tool in every setting at every share of the parameters: a file each, or a reason for having none."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sardonyx as sx
from environments import Answer, Peer, ask
from subjects import Subject, export_weights

SARDONYX: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "--align 1": {"align": 1},
    "magnitude --no-compensate": {"criterion": "magnitude", "compensate": False},
    "random": {"criterion": "random"},
}
"""What Sardonyx is told, for each setting."""


@dataclass(frozen=True)
class Case:
    """One tool in one setting on one model.

    Attributes:
        tool: The tool.
        setting: Its setting.
        share: The share of the parameters that should stay; 1 for the model as it was, None where nothing was tried.
        file: What came out; None where nothing did.
        seconds: The call that made it, with what it computes from samples.
        note: Why there is no file, or what is odd about it.
    """

    tool: str
    setting: str
    share: float | None
    file: Path | None = None
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """What all tools are given.

    Attributes:
        data: The calibration samples.
        samples: The same in a file.
        shares: Shares of the parameters.
        folder: Where files are put.
        environments: Where the peers' environments are.
    """

    data: sx.CalibrationData
    samples: Path
    shares: Sequence[float]
    folder: Path
    environments: Path

    def cases(self, subject: Subject, tools: Sequence[Peer]) -> list[Case]:
        """Prune one model with every tool; the model as it was comes first."""
        found = [Case("uncut", "", 1.0, subject.onnx)]
        for setting in SARDONYX:
            found += [self._sardonyx(subject, setting, share) for share in self.shares]
        for peer in tools:
            lacking = self._lacking(subject, peer)
            if lacking:
                found.append(Case(peer.name, "", None, note=lacking))
                continue
            for setting in peer.settings:
                _say(subject, peer.name, setting)
                found += self._peer(subject, peer, setting)
        return found

    def _sardonyx(self, subject: Subject, setting: str, share: float) -> Case:
        _say(subject, "sardonyx", f"{setting} {share}")
        case = Case("sardonyx", setting, share, self._output(subject, "sardonyx", setting, share))
        start = time.monotonic()
        try:
            pruned = sx.prune(subject.onnx, self.data, params=share, **SARDONYX[setting])
        except sx.SardonyxError as error:
            return replace(case, file=None, note=f"refused: {str(error).splitlines()[0]}")
        seconds = time.monotonic() - start
        assert case.file is not None
        pruned.save(case.file, force=True)
        return replace(case, seconds=seconds)

    def _peer(self, subject: Subject, peer: Peer, setting: str) -> list[Case]:
        outputs = {str(share): self._output(subject, peer.name, setting, share) for share in self.shares}
        if peer.needs_torch:
            outputs = {share: path.with_suffix(".safetensors") for share, path in outputs.items()}
        job = {
            "network": subject.name,
            "weights": subject.weights and str(subject.weights),
            "onnx": str(subject.onnx),
            "samples": str(self.samples),
            "cases": {share: str(path) for share, path in outputs.items()},
            **peer.settings[setting],
        }
        said = ask(peer, self.environments, job)
        return [
            _answered(subject, Case(peer.name, setting, float(share), path), said[share])
            for share, path in outputs.items()
        ]

    def _lacking(self, subject: Subject, peer: Peer) -> str:
        """Why a tool cannot be tried on a model; empty where it can."""
        if not peer.is_installed(self.environments):
            return f"{peer.version} is not installed: run benchmarks/pruning/peers.py"
        if peer.needs_torch and subject.weights is None:
            return "takes torch modules only"
        return ""

    def _output(self, subject: Subject, tool: str, setting: str, share: float) -> Path:
        words = "".join(c if c.isalnum() else "-" for c in f"{subject.name} {tool} {setting} {share}")
        return self.folder / f"{words}.onnx"


def _answered(subject: Subject, case: Case, answer: Answer) -> Case:
    """A peer's case, with its file exported as the model was where it is torch's."""
    if answer.error:
        return replace(case, file=None, note=answer.error)
    file = case.file
    if file is not None and file.suffix == ".safetensors":
        try:
            file = export_weights(subject.name, file, file.with_suffix(".onnx"))
        except (sx.SardonyxError, RuntimeError) as error:
            return replace(case, file=None, note=f"does not run: {str(error).splitlines()[0]}")
    return replace(case, file=file, seconds=answer.seconds)


def _say(subject: Subject, tool: str, what: str) -> None:
    print(f"{subject.name}: {tool}, {what}", file=sys.stderr, flush=True)
