"""A command in a process of its own, under limits of time and memory: for models of strangers.

ONNX Runtime cannot be stopped from inside: a model that loops for ever, or asks for more memory than there is, ends
with the process that runs it. The parent waits, ends the child and all its children when their time is up, removes what
they had begun to write, and says how far they came.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from ..core.bounds import Bounds, limit_data
from ..core.errors import EnvironmentFault
from ..core.events import listen
from ..core.files import append_line, remove_aside, temporary_folder
from .console import DocumentedError
from .text import clean

_START = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import enter; enter()"
"""Modules are looked for where the parent has them, and never in the folder where the user happens to be."""

_GRACE_S = 2.0
"""How long a process that was told to end may take for it."""

_SHOWN = 12
"""Steps that are shown to people; a document holds all."""

_LONGEST_JOURNAL = 1 << 20
"""Bytes of a journal that are read: the child may be in the hands of a stranger."""


Step: TypeAlias = Mapping[str, Any]
"""What a child told of itself: its words under ``step``, and facts."""


@dataclass(frozen=True)
class Task:
    """What the child is to do.

    Attributes:
        arguments: What follows the command's name.
        journal: The file that it tells its steps to.
        bounds: What it may take.
    """

    arguments: tuple[str, ...]
    journal: str
    bounds: Bounds


def run_apart(arguments: Sequence[str], bounds: Bounds, *, json_wanted: bool) -> int:
    """Run the command line in a child.

    Args:
        arguments: What follows the command's name.
        bounds: What the child may take.
        json_wanted: Whether the child's standard output is one document, to be passed on whole or not at all.

    Returns:
        The exit code of a child that ended by itself, having said all there is to say.

    Raises:
        DocumentedError: Time ran out, or the child crashed; the document says how far it came.
        EnvironmentFault: This is Windows.
    """
    if os.name == "nt":
        raise EnvironmentFault(
            "limits of time and memory need a POSIX system",
            remedy="leave --untrusted, --timeout and --memory-limit away",
        )
    reason = ""
    with temporary_folder() as scratch:
        journal = scratch / "journal"
        task = Task(tuple(arguments), str(journal), bounds)
        try:
            with _child(task, str(scratch), captured=json_wanted) as child:
                out = child.communicate(timeout=bounds.seconds)[0] or b""
        except subprocess.TimeoutExpired:
            reason = f"its time of {bounds.seconds:g} s was up"
        finally:
            steps = _read(journal)
            for step in steps:
                remove_aside(Path(str(step.get("aside", ""))))
    if not reason and child.returncode < 0:
        reason = f"{signal.Signals(-child.returncode).name} ended it"
    if reason:
        raise _refusal(reason, steps)
    sys.stdout.write(out.decode("utf8"))
    sys.stdout.flush()
    return child.returncode


def enter() -> NoReturn:
    """What the child runs: bound itself, tell its steps, and be the command line.

    Raises:
        SystemExit: Always.
    """
    task = json.loads(sys.argv[1])
    journal, bounds = Path(task["journal"]), Bounds(**task["bounds"])
    sys.argv = ["sardonyx", *task["arguments"]]
    if bounds.memory_bytes is not None and not limit_data(bounds.memory_bytes):
        print("remark: this platform cannot bound a process's memory, only its time", file=sys.stderr)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listen(lambda text, facts: append_line(journal, json.dumps({"step": text, **facts}, default=str)))
    from .app import main

    main(task["arguments"], is_bounded=True)


@contextmanager
def _child(task: Task, scratch: str, *, captured: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A child that runs the task, in a session of its own that ends with the block."""
    places = [place for place in sys.path if os.path.isabs(place)]
    command = [sys.executable, "-c", _START, json.dumps(asdict(task)), *places]
    read, write = os.pipe()
    try:
        child = subprocess.Popen(
            command,
            stdin=read,
            stdout=subprocess.PIPE if captured else None,
            start_new_session=True,
            env={**os.environ, "TMPDIR": scratch},  # what it keeps for itself goes with the scratch
        )
        try:
            yield child
        finally:
            _end(child)
    finally:
        os.close(read)
        os.close(write)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all its children: asked first, so that it can clean up, and then killed."""
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left, or not yet reaped
        os.killpg(child.pid, number)


def _end_with_parent() -> None:
    """Wait for the pipe from the parent to close, which it does with the parent, and end the session."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _read(journal: Path) -> list[Step]:
    """The steps that a child told of; a line that it did not finish is left out."""
    if not journal.exists():
        return []
    with journal.open("rb") as file:
        lines = file.read(_LONGEST_JOURNAL).split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def _refusal(reason: str, steps: Sequence[Step]) -> DocumentedError:
    told = [step for step in steps if "aside" not in step]
    for step in told[-_SHOWN:]:
        print(f"until then: {clean(step['step'])}", file=sys.stderr)
    last = f", after: {told[-1]['step']}" if told else ""
    error = EnvironmentFault(
        f"the command did not end by itself: {reason}{last}",
        remedy="do not use the model, or give it more with --timeout and --memory-limit if it is trusted",
    )
    return DocumentedError(error, {"partial": {"steps": told}})
