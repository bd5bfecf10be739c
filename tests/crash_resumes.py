"""Commands that go on where they were killed: what they come to is compared with what they come to undisturbed."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash_commands import the_forge, told, write_inputs
from crash_injection import Fault, FaultKind, Trial, leftovers

_SEARCH = ("--max-drop", "0.05", "--metric", "cosine", "--threads", "1", "--exact", "--target", "nnapi")
_HEAL = ("heal", "small.onnx", "--teacher", "model.onnx", "--data", "data.npz")

RESUMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run": (("run", "recipe.toml", "-o", "run"), ("--resume",)),
    "run with heal": (("run", "healing.toml", "-o", "run"), ("--resume",)),
    "heal": (
        (*_HEAL, "-o", "out/h.onnx", "--epochs", "3", "--batch", "16"),
        ("--resume", "--force"),
    ),
    "optimize": (
        ("optimize", "cut.onnx", "--calib", "few.npz", "--eval", "few.npz", "-o", "search", *_SEARCH),
        ("--resume",),
    ),
}
"""Commands, and what is added to them after they were killed."""

WATCHED = ("work", "cache", "tmp")


@dataclass
class Rehearsal:
    """A command that ran through once.

    Attributes:
        name: Which of :data:`RESUMES`.
        place: A folder for all that it needs.
        whole: What it did.
        models: SHA-256 of every model that it left, by its path.
        states: What a SIGKILL at each of its steps would have left, each once.
    """

    name: str
    place: Path
    whole: Trial = field(init=False)
    models: dict[str, str] = field(init=False)
    states: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        write_inputs(self.inputs / "work")
        small = ("prune", "model.onnx", "--calib", "data.npz", "--align", "4", "--params", "0.6")
        self._run(self.inputs, (*small, "-o", "small.onnx"))
        shutil.rmtree(self.inputs / "cache")
        (self.inputs / "cache").mkdir()
        self.restore(self.inputs)
        self.whole = self._run(self.root, RESUMES[self.name][0], self.place / "states")
        self.models = models_below(self.root)
        self.states = sorted((self.place / "states").iterdir())

    @property
    def inputs(self) -> Path:
        """Everything as it is before the command."""
        return self.place / "inputs"

    @property
    def root(self) -> Path:
        """Where the command runs, and runs again."""
        return self.place / "root"

    def restore(self, state: Path) -> None:
        """Make everything as it is in another folder."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(state, self.root, symlinks=True)

    def killed_at(self, step: int) -> str:
        """Kill it at a step, go on, and say what is wrong; nothing where all is well."""
        self.restore(self.inputs)
        arguments = RESUMES[self.name][0]
        trial = the_forge("still_clock:stop").run(arguments, self.root, Fault("kill", step), watched=WATCHED)
        return self.gone_on() if trial.code == -9 else f"it was not killed: {trial}"

    def failed_at(self, fault: Fault) -> str:
        """Let a write fail, go on, and say what is wrong; nothing where all is well."""
        self.restore(self.inputs)
        arguments = RESUMES[self.name][0]
        trial = the_forge("still_clock:stop").run(arguments, self.root, fault, watched=WATCHED)
        wrong = told(trial, fault, complete=models_below(self.root) == self.models)
        is_removal = trial.struck and trial.steps[fault.at].kind in {"unlink", "rmdir"}
        if not is_removal:  # what could not be removed goes the next time
            wrong += leftovers(self.root / "work")
        return "; ".join([*wrong, *filter(None, [self.gone_on()])])

    def from_state(self, state: Path) -> str:
        """Go on from what a SIGKILL left, and say what is wrong; nothing where all is well."""
        self.restore(state)
        return self.gone_on()

    def gone_on(self) -> str:
        """What is wrong with what a kill left, or with what comes of it."""
        torn = [name for name, digest in models_below(self.root).items() if self.models.get(name) != digest]
        if torn:
            return f"neither old nor new: {torn}"
        arguments, more = RESUMES[self.name]
        trial = the_forge("still_clock:stop").run((*arguments, *more), self.root, watched=WATCHED)
        if trial.code != 0:
            return f"it does not go on: {trial.err}"
        found = models_below(self.root)
        if found != self.models:
            return f"other models: {sorted(found.items() ^ self.models.items())}"
        stale = [*leftovers(self.root / "work"), *(str(path) for path in self.root.rglob(".lock"))]
        return f"left behind: {stale}" if stale else ""

    def _run(self, root: Path, arguments: Sequence[str], states: Path | None = None) -> Trial:
        trial = the_forge("still_clock:stop").run(arguments, root, watched=WATCHED, states=states)
        assert trial.code == 0, trial
        return trial


def judge_states(rehearsal: Rehearsal, states: Sequence[Path] | None = None) -> dict[str, str]:
    """What is wrong after going on from some of the states that a SIGKILL leaves, or from all; says how many."""
    chosen = rehearsal.states if states is None else states
    found = {state.name: rehearsal.from_state(state) for state in chosen}
    wrong = {name: words for name, words in found.items() if words}
    print(
        f"{rehearsal.name}: {len(rehearsal.whole.steps)} steps, {len(rehearsal.states)} states that differ, "
        f"{len(chosen) - len(wrong)} of {len(chosen)} resumes equal",
        flush=True,
    )
    return wrong


def judge_failures(rehearsal: Rehearsal, kind: FaultKind, points: Sequence[int]) -> dict[str, str]:
    """What is wrong after a fault at each of some steps and going on; says how many."""
    found = {str(at): rehearsal.failed_at(Fault(kind, at)) for at in points}
    wrong = {at: words for at, words in found.items() if words}
    steps = len(rehearsal.whole.steps)
    print(
        f"{rehearsal.name}: {kind} at {len(found)} of {steps} steps, {len(wrong)} not as specified",
        flush=True,
    )
    return wrong


def models_below(root: Path) -> dict[str, str]:
    """SHA-256 of every model in the place of work that was not written aside, by its path."""
    work = root / "work"
    asides = set(leftovers(work))
    found = {str(path.relative_to(work)): path for path in sorted(work.rglob("*.onnx"))}
    finished = {
        name: path
        for name, path in found.items()
        if not asides & {str(parent) for parent in (Path(name), *Path(name).parents)}
    }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in finished.items()}


@functools.cache
def rehearsed(name: str) -> Rehearsal:
    """A command that ran through; for as long as this process lives."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Rehearsal(name, Path(folder.name))
