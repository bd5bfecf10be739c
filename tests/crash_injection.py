"""Commands that fail, or die, at a chosen step of what they write.

A process that has the imports already forks a child for each command. In the child every call that changes a file below
the watched folders counts as a step: opening for writing, each write that reaches the system, flushing, renaming, making
and removing. At the step that a :class:`Fault` names the call fails or the process is killed; a write is done by half
before. A command that runs through can leave what a SIGKILL at each of its steps would have left.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

WALL_S = 600
"""After this a command hangs."""

FaultKind = Literal["full", "hiccup", "kill", "power", "interrupt", "terminate"]

ALLOCATING = frozenset({"open", "write", "flush", "rename", "mkdir"})
"""Steps that a full disk refuses; it lets things be removed."""


class Step(NamedTuple):
    """One call that changed, or was about to change, a file: its kind, and the path below the root."""

    kind: str
    path: str


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        kind: ``full``: from this step on the disk is full. ``hiccup``: this step fails, once. ``kill``: SIGKILL before
            the step, or in the middle of a write. ``power``: as that, and what was not flushed is lost. ``interrupt``,
            ``terminate``: SIGINT or SIGTERM.
        at: The step, from 0.
        again: Whether a signal comes again at every step after it.
    """

    kind: FaultKind
    at: int
    again: bool = False


@dataclass(frozen=True)
class Trial:
    """What a command left behind.

    Attributes:
        code: Exit code; negative where a signal ended it.
        out: What it printed on standard output.
        err: What it printed on standard error.
        steps: Its steps, up to the end.
        struck: Whether it came to the step of the fault.
    """

    code: int
    out: str
    err: str
    steps: tuple[Step, ...]
    struck: bool

    def first_of_each_kind(self) -> list[int]:
        """The first step of each kind, and the last."""
        kinds = [step.kind for step in self.steps]
        return sorted({*map(kinds.index, kinds), len(kinds) - 1})


class Forge:
    """Forks commands from a process that has everything loaded; a context manager.

    Args:
        prepare: Functions ``module:name`` that every child calls before its command, such as a clock that stands still.
    """

    def __init__(self, *prepare: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        command = [sys.executable, "-B", str(Path(__file__)), *prepare]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Forge:  # noqa: PYI034 - Python 3.10 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)

    def run(
        self,
        arguments: Sequence[object],
        root: Path,
        fault: Fault | None = None,
        *,
        watched: Sequence[str] = ("work",),
        main: str = "sardonyx.cli.app:main",
        obeys_modes: bool = False,
        file_bytes: int | None = None,
        states: Path | None = None,
    ) -> Trial:
        """Run a command in ``root/work``; ``root/cache`` and ``root/tmp`` hold what it keeps elsewhere.

        Args:
            arguments: What follows the command's name.
            root: The folder; those in it are made.
            fault: What goes wrong; nothing where None.
            watched: Folders in the root whose changes are steps.
            main: The function that takes the arguments.
            obeys_modes: Without root's right to write where a mode forbids it.
            file_bytes: The largest that a file may become.
            states: A folder for what a SIGKILL at each step would leave, a folder each, called after the first step that
                leaves it so.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        scratch = root / "scratch"
        for name in ("work", "cache", "tmp", "scratch"):
            (root / name).mkdir(parents=True, exist_ok=True)
        request = {
            "arguments": [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments],
            "root": str(root),
            "fault": None if fault is None else asdict(fault),
            "watched": list(watched),
            "main": main,
            "obeys_modes": obeys_modes,
            "file_bytes": file_bytes,
            "states": None if states is None else str(states),
        }
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        out, err, log = (_read(scratch / name) for name in ("out", "err", "steps"))
        lines = [json.loads(line) for line in log.splitlines()]
        shutil.rmtree(scratch)
        return Trial(code, out, err, tuple(Step(*line) for line in lines if line), [] in lines)


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf8", "surrogateescape") if path.exists() else ""


def spread(points: Sequence[Any], count: int) -> list[Any]:
    """Some of many, evenly spread, with the first and the last."""
    count = min(count, len(points))
    return [points[number * (len(points) - 1) // max(count - 1, 1)] for number in range(count)]


def leftovers(folder: Path) -> list[str]:
    """What was written aside and is still there, anywhere below a folder."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in names if name.endswith((".tmp", ".old", ".stale", ".rename")))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, but for what was written aside."""
    asides = set(leftovers(folder))
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name: content for name, content in found.items() if not asides & {name, *_above(name)}}


def _above(name: str) -> set[str]:
    return {str(parent) for parent in Path(name).parents}


# What follows runs in the server and its children.


class _Faults:
    """Counts the steps of this process, and lets the fault happen."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.root = os.path.realpath(request["root"])
        self.places = [os.path.join(self.root, name) for name in request["watched"]]
        self.fault = None if request["fault"] is None else Fault(**request["fault"])
        self.count = 0
        self.owner = os.getpid()
        self.is_full = False
        self.unflushed: set[str] = set()
        self.states: Path | None = None if request["states"] is None else Path(request["states"])
        self._seen: set[str] = set()
        self._write = os.write
        self._log = os.open(f"{self.root}/scratch/steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def path_of(self, path: Any, folder: int | None = None) -> str | None:
        """A path without links, if it is watched; of a file descriptor, the path of its file."""
        if os.getpid() != self.owner:
            return None
        if isinstance(path, int):
            found = os.readlink(f"/proc/self/fd/{path}")
        else:
            above = "" if folder is None else os.readlink(f"/proc/self/fd/{folder}")
            head, tail = os.path.split(os.path.join(above, os.fsdecode(path)))
            found = os.path.join(os.path.realpath(head), tail)
        return (
            found if any(found.startswith(f"{place}/") or found == place for place in self.places) else None
        )

    def meet(self, kind: str, path: str, half: Callable[[], int | None] = lambda: 0) -> int:
        """Count a step, and let it fail if it is the one; ``half`` does the first part of it.

        Returns:
            How many bytes that were to be written are written.
        """
        fault, number = self.fault, self.count
        self.count += 1
        self._tell([kind, os.path.relpath(path, self.root)])
        if self.is_full and kind in ALLOCATING:
            raise OSError(28, "No space left on device", path)
        if self.states is not None:
            done = half() or 0
            self._keep(self.states / f"{number:05d}")
            return done
        if fault is None or number < fault.at or (number > fault.at and not fault.again):
            return 0
        if number == fault.at:
            self._tell([])
        done = half() or 0
        self._strike(fault.kind, kind, path)
        return done

    def _keep(self, folder: Path) -> None:
        """Copy what lies in the watched folders, unless it did so before."""
        digest = hashlib.sha256()
        for path in sorted(path for place in self.places for path in Path(place).rglob("*")):
            digest.update(f"{path}\0".encode() + (path.read_bytes() if path.is_file() else b"") + b"\0")
        if digest.hexdigest() not in self._seen:
            self._seen.add(digest.hexdigest())
            for place in self.places:
                shutil.copytree(place, folder / Path(place).name, symlinks=True)

    def _strike(self, fault: str, kind: str, path: str) -> None:
        if fault == "full":
            self.is_full = True
            if kind in ALLOCATING:
                raise OSError(28, "No space left on device", path)
        elif fault == "hiccup":
            raise OSError(5, "Input/output error", path)
        elif fault in {"interrupt", "terminate"}:
            os.kill(os.getpid(), signal.SIGINT if fault == "interrupt" else signal.SIGTERM)
        else:
            lost = self.unflushed if fault == "power" else ()
            for name in filter(os.path.exists, lost):
                os.truncate(name, 0)
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, words: list[str]) -> None:
        self._write(self._log, (json.dumps(words) + "\n").encode())


def _inject(faults: _Faults) -> None:
    """Put the counting in front of everything that changes a file."""
    import builtins
    import io

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            path = faults.path_of(self.fileno())
            if path is None:
                return super().write(data)
            view = memoryview(data).cast("B")
            done = faults.meet("write", path, lambda: super(Raw, self).write(view[: len(view) // 2]))
            faults.unflushed.add(path)
            return done + (super().write(view[done:]) or 0)

    def opening(file: Any, mode: str = "r", *more: Any, opener: Any = None, **words: Any) -> Any:
        path = None if isinstance(file, int) or not set(mode) & set("wax+") else faults.path_of(file)
        if path is None:
            return real_open(file, mode, *more, opener=opener, **words)
        faults.meet("open", path)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=opener)
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        words.pop("buffering", None)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **words)

    def low_open(path: Any, flags: int, *more: Any, dir_fd: int | None = None) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and (found := faults.path_of(path, dir_fd)):
            faults.meet("open", found)
        return real_low(path, flags, *more, dir_fd=dir_fd)

    def low_write(descriptor: int, data: Any) -> int:
        done = 0
        if found := faults.path_of(descriptor):
            done = faults.meet("write", found, lambda: real_write(descriptor, data[: len(data) // 2]))
            faults.unflushed.add(found)
        return done + real_write(descriptor, data[done:])

    real_open, real_low, real_write = io.open, os.open, os.write
    builtins.open = io.open = opening  # type: ignore[assignment]
    os.open, os.write = low_open, low_write  # type: ignore[assignment]
    _inject_names(faults)


def _inject_names(faults: _Faults) -> None:
    """The calls that flush, rename, make and remove."""

    def flush(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            if path := faults.path_of(number):
                faults.meet("flush", path)
                faults.unflushed.discard(path)
            real(descriptor)

        return call

    def move(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(source: Any, target: Any, *more: Any, **words: Any) -> Any:
            to, before = faults.path_of(target), faults.path_of(source)
            if to is not None:
                faults.meet("rename", to)
            made = real(source, target, *more, **words)
            if before in faults.unflushed and to is not None:
                faults.unflushed.remove(before)
                faults.unflushed.add(to)
            return made

        return call

    def change(kind: str) -> Callable[..., Any]:
        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(path: Any, *more: Any, dir_fd: int | None = None, **words: Any) -> Any:
                if found := faults.path_of(path, dir_fd):
                    faults.meet(kind, found)
                return real(path, *more, dir_fd=dir_fd, **words)

            return call

        return wrap

    from sardonyx.core import files

    kinds = {"fsync": flush, "replace": move, "rename": move, "link": move, "symlink": move}
    kinds |= {"mkdir": change("mkdir"), "rmdir": change("rmdir"), "unlink": change("unlink")}
    for name, wrap in {**kinds, "remove": change("unlink")}.items():
        setattr(os, name, wrap(getattr(os, name)))
    if hasattr(files, "exchange"):
        files.exchange = move(files.exchange)


def _child(request: Mapping[str, Any], prepare: Sequence[str]) -> None:
    """Redirect, let the fault in, and be the command."""
    import resource
    import tempfile

    root = request["root"]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{root}/scratch/{name}", os.O_WRONLY | os.O_CREAT, 0o666), number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(os.dup(n), m) for n, m in ((0, "r"), (1, "w"), (2, "w")))
    os.environ.update({"SARDONYX_CACHE": f"{root}/cache", "TMPDIR": f"{root}/tmp"})
    tempfile.tempdir = f"{root}/tmp"  # or Python would try the place with a file of its own
    os.chdir(f"{root}/work")
    sys.argv = ["sardonyx", *request["arguments"]]
    for name in prepare:
        _function(name)()
    main = _function(request["main"])
    if request["obeys_modes"]:
        _obey_modes()
    if request["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    _inject(_Faults(request))
    main(request["arguments"])


def _obey_modes() -> None:
    """Give up CAP_DAC_OVERRIDE (capabilities(7)); another user might not see the modules that are yet to be imported."""
    import ctypes

    libc, head = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    assert libc.capget(head, held) == 0, os.strerror(ctypes.get_errno())
    for place in range(3):  # effective, permitted, inheritable
        held[place] &= ~(1 << 1)
    assert libc.capset(head, held) == 0, os.strerror(ctypes.get_errno())


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _forked(request: Mapping[str, Any], prepare: Sequence[str], modules: int) -> int:
    """The exit code of a child that does it; its modules are told through a pipe."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.alarm(WALL_S)
            _child(request, prepare)
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        except BaseException:  # noqa: BLE001 - a defect, shown by its traceback
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            with contextlib.suppress(Exception):
                os.pwrite(modules, json.dumps(list(sys.modules)).encode(), 0)
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _serve(prepare: Sequence[str]) -> None:
    """Answer requests, one a line; what one child had to import, the next one finds."""
    import tempfile

    for name in (
        "sardonyx.cli.app",
        "sardonyx.pipeline",
        "sardonyx.training.healing",
        "onnxruntime",
        "scipy.stats",
    ):
        importlib.import_module(name)
    with tempfile.TemporaryFile() as modules:
        for line in sys.stdin:
            modules.truncate(0)
            print(_forked(json.loads(line), prepare, modules.fileno()), flush=True)
            modules.seek(0)
            for name in _new(modules.read()):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


def _new(text: bytes) -> Iterator[str]:
    with contextlib.suppress(ValueError):  # it could not be written, or not wholly
        yield from (name for name in json.loads(text) if name not in sys.modules)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    _serve(sys.argv[1:])
