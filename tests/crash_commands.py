"""Commands that write, with what they write over: what a fault at any of their steps leaves is judged here."""

from __future__ import annotations

import atexit
import csv
import functools
import io
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from crash_injection import Fault, FaultKind, Forge, Trial, leftovers, tree
from nets import Net
from reports import report_named
from sardonyx import Limits, ModelArtifact
from sardonyx.core.files import atomic_folder, write_atomic
from sardonyx.pipeline.documents import json_bytes

RECIPE = """
model = "model.onnx"
[data]
train = "data.npz"
calibration = "data.npz"
evaluation = "data.npz"
[[steps]]
kind = "prune"
params = 0.6
align = 4
"""
HEAL = '[[steps]]\nkind = "heal"\nteacher = "model"\nepochs = 3\nbatch_size = 16\n'
REST = '[[steps]]\nkind = "quantize"\n[[steps]]\nkind = "compare"\nbatches = [1]\nrounds = 5\n'


@dataclass(frozen=True)
class Command:
    """A command, and what it writes.

    Attributes:
        arguments: What follows the command's name.
        outputs: Files and folders in the place of work; each must be whole.
        before: Commands that put older outputs there; ``--force`` is what replaces them.
        main: The function that takes the arguments.
        varies: Whether the output holds times, so that no two runs write the same.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    before: Sequence[tuple[str, ...]] = ()
    main: str = "sardonyx.cli.app:main"
    varies: bool = False


def _own(name: str, output: str) -> Command:
    main = f"{__name__}:{name}"
    return Command((output,), (output,), ((output, "old"),), main)


_QUANTIZE = ("quantize", "model.onnx", "--calib", "data.npz", "-o", "out/q.onnx", "--force")
_PRUNE = ("prune", "model.onnx", "--calib", "data.npz", "--align", "4", "-o", "out/p.onnx", "--force")
_PLAN = ("--save-plan", "out/p.json", "--params")
_PACKAGE = ("--for", "linux", "--no-latency", "-o", "out/bundle", "--force")
_BENCH = ("bench", "model.onnx", "--csv", "out/b.csv", "--force", "--batch", "1", "--rounds", "5")
_DATA = ("data", "-o", "out/d.npz", "--force")

COMMANDS: Mapping[str, Command] = {
    "quantize": Command(_QUANTIZE, ("out/q.onnx",), ((*_QUANTIZE, "--per-tensor"),)),
    "prune": Command((*_PRUNE, *_PLAN, "0.6"), ("out/p.onnx", "out/p.json"), ((*_PRUNE, *_PLAN, "0.9"),)),
    "package": Command(
        ("package", "model.onnx", *_PACKAGE), ("out/bundle",), (("package", "cut.onnx", *_PACKAGE),)
    ),
    "report": Command(("report", "run"), ("run/report.html",)),
    "data": Command((*_DATA, "digits:test:9"), ("out/d.npz",), ((*_DATA, "digits:test:5"),)),
    "bench --csv": Command((*_BENCH, "--seconds", "0.1"), ("out/b.csv",), varies=True),
    "a large model": _own("save_large", "out/large.onnx"),
    "a folder": _own("fill_folder", "out/filled"),
}


def save_large(arguments: Sequence[str]) -> None:
    """Save a model whose weights lie in a file beside it; another one as the older output."""
    model = ModelArtifact.of(small_model(int(len(arguments) > 1), width=32), Limits(embed_bytes=64))
    assert model.has_weights_beside
    _guarded(lambda: model.save(arguments[0], force=True))


def fill_folder(arguments: Sequence[str]) -> None:
    """Fill a folder with files and a folder; other ones as the older output."""

    def fill() -> None:
        with atomic_folder(Path(arguments[0]), force=True) as aside:
            (aside / "inner").mkdir()
            for name in ("a", "b", "inner/c"):
                write_atomic(aside / name, f"{name} {arguments[1:]}".encode())

    _guarded(fill)


def _guarded(work) -> None:
    from sardonyx.cli.app import _tell
    from sardonyx.cli.signals import Terminated, raised_signals

    with raised_signals():
        try:
            work()
        except (Exception, KeyboardInterrupt, Terminated) as error:
            raise SystemExit(_tell(error, json_wanted=False)) from error


def small_model(seed: int = 0, width: int = 16):
    """Two convolutions and a linear layer: ``x``, shape ``(N, 3, 8, 8)``, to five logits."""
    net = Net(opset=17, seed=seed)
    return net.model(net.head(net.relu(net.conv(net.relu(net.conv(net.x, width)), width))))


def write_inputs(work: Path) -> None:
    """A model, a smaller one, samples, recipes with and without training, and the data of a report."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "out").mkdir()
    ModelArtifact.of(small_model()).save(work / "model.onnx")
    ModelArtifact.of(small_model(width=8)).save(work / "cut.onnx")
    images = np.random.default_rng(1).normal(size=(48, 3, 8, 8)).astype(np.float32)
    np.savez(work / "data.npz", x=images, labels=np.arange(48) % 5)
    np.savez(work / "few.npz", x=images[:16])
    (work / "recipe.toml").write_text(RECIPE + REST)
    (work / "healing.toml").write_text(RECIPE + HEAL + REST)


@functools.cache
def the_forge(*prepare: str) -> Forge:
    """One warm process for all tests."""
    forge = Forge(*prepare)
    atexit.register(forge.__exit__)
    return forge


@dataclass
class Stage:
    """A command with its older outputs in place.

    Attributes:
        command: The command.
        root: Where it all is before the command.
        whole: What it does without a fault.
        old: Its outputs before.
        new: Its outputs after.
        names: What lies in the place of work before, and after.
        met: For each kind of fault, how often an output was the old one, the new one, or neither.
    """

    command: Command
    root: Path
    watched: tuple[str, ...] = ("work", "cache", "tmp")
    whole: Trial = field(init=False)
    old: dict[str, object] = field(init=False)
    new: dict[str, object] = field(init=False)
    names: tuple[set[str], set[str]] = field(init=False)
    met: dict[FaultKind, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        write_inputs(self.root / "work")
        if self.command.arguments[0] == "report":
            (self.root / "work/run").mkdir()
            (self.root / "work/run/report.json").write_bytes(json_bytes(report_named("net")))
            (self.root / "work/run/report.html").write_text("old")
        for arguments in self.command.before:
            self._run(self.root, arguments)
        if self.command.varies:
            (self.root / "work" / self.command.outputs[0]).write_text("old")
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        self.old, before = self.outputs(self.root), names_below(self.root / "work")
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(self.root, Path(folder, "root"))
            self.whole = self._run(copy, self.command.arguments)
            self.new = self.outputs(copy)
            self.names = (before, names_below(copy / "work"))
        assert all(self.old[name] != self.new[name] for name in self.command.outputs)

    def outputs(self, root: Path) -> dict[str, object]:
        """Each output: the bytes of a file, or those of each file in a folder; of what varies, how it is laid out."""
        found: dict[str, object] = {}
        for name in self.command.outputs:
            path = root / "work" / name
            if path.is_dir():
                found[name] = tree(path)
            elif path.exists():
                found[name] = _layout(path.read_bytes()) if self.command.varies else self._content(path)
        return found

    def _content(self, path: Path) -> object:
        """A file's bytes, with those of the file that holds a large model's weights."""
        content = path.read_bytes()
        beside = {p.name: p.read_bytes() for p in path.parent.glob(f"{path.name}.*.data")}
        return (content, {name: data for name, data in beside.items() if name.encode() in content})

    def strike(self, fault: Fault, folder: Path) -> tuple[Trial, Path]:
        """Let it go wrong in a copy; what came of it, and where."""
        copy = shutil.copytree(self.root, folder / "root")
        trial = the_forge().run(
            self.command.arguments, copy, fault, watched=self.watched, main=self.command.main
        )
        return trial, copy

    def again(self, root: Path) -> Trial:
        """The same command once more, in the place that a fault has left."""
        return self._run(root, self.command.arguments)

    def _run(self, root: Path, arguments: Sequence[str]) -> Trial:
        trial = the_forge().run(arguments, root, watched=self.watched, main=self.command.main)
        assert trial.code == 0, trial
        return trial


def names_below(folder: Path) -> set[str]:
    """Every file and folder below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@functools.cache
def staged(name: str) -> Stage:
    """The stage of one of the commands; for as long as this process lives."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Stage(COMMANDS[name], Path(folder.name, "root"))


def judge_all(
    stage: Stage, kind: FaultKind, folder: Path, points: Iterable[int] | None = None
) -> dict[int, str]:
    """What is wrong after a fault at each of some steps, or at all of them; says how many there were."""
    chosen = range(len(stage.whole.steps)) if points is None else list(points)
    found = {at: judge(stage, Fault(kind, at), folder / str(at)) for at in chosen}
    wrong = {at: words for at, words in found.items() if words}
    name = " ".join(stage.command.arguments[:1])
    print(
        f"\n{name}: {kind} at {len(chosen)} of {len(stage.whole.steps)} steps, {len(wrong)} not as specified"
    )
    return wrong


def _layout(content: bytes) -> object:
    """The size of a table, each line of which is complete."""
    text = content.decode()
    return [len(row) for row in csv.reader(io.StringIO(text))] if text.endswith("\n") else text


def judge(stage: Stage, fault: Fault, folder: Path) -> str:
    """Let a fault happen, and say what is wrong with what it left; nothing where all is well.

    Whatever happened, each output is the complete old or the complete new one. A command that lives on says so in two
    lines and by its exit code, and leaves nothing behind; after one that was killed the next leaves nothing.
    """
    trial, root = stage.strike(fault, folder)
    wrong = []
    found = stage.outputs(root)
    for name in stage.command.outputs:
        states = {"old": stage.old[name], "new": stage.new[name]}
        state = next((state for state, wanted in states.items() if found.get(name) == wanted), "neither")
        stage.met[fault.kind][state] += 1
        if state == "neither":
            wrong.append(f"{name} is {'neither' if name in found else 'gone'}")
    if fault.kind in {"kill", "power"}:
        if trial.code != -9:
            wrong.append(f"it was not killed: {trial.code}")
        stage.again(root)
    else:
        wrong += told(trial, fault, complete=found == stage.new)
    if fault.kind == "hiccup" and trial.steps[fault.at].kind in {"unlink", "rmdir"}:
        stage.again(root)  # what could not be removed goes the next time
    if stale := [*leftovers(root), *(f"tmp/{path.name}" for path in (root / "tmp").iterdir())]:
        wrong.append(f"left behind: {stale}")
    elif (names := names_below(root / "work")) not in stage.names:
        wrong.append(f"too much or too little: {sorted(names ^ stage.names[1])}")
    if fault.kind in {"kill", "power"} and stage.outputs(root) != stage.new:
        wrong.append("the next run made something else")
    shutil.rmtree(root)
    return "; ".join(wrong)


_CODES = {"full": 5, "hiccup": 5, "interrupt": 130, "terminate": 143}


def told(trial: Trial, fault: Fault, *, complete: bool) -> list[str]:
    """What is wrong with an exit code and the words; what a command can do without may fail, if it ends well."""
    lines = trial.err.splitlines()
    if trial.code == 0 and fault.kind in {"full", "hiccup"}:
        return [] if complete else ["it passed for done"]
    if trial.code != _CODES[fault.kind]:
        return [f"exit {trial.code}: {lines[-3:]}"]
    if [line.partition(" ")[0] for line in lines[-2:]] != ["error:", "hint:"] or "Traceback" in trial.err:
        return [f"said: {trial.err}"]
    return []
