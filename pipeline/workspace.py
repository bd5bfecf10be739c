"""A run's folder: one sub-folder a step, written aside and renamed into place, with a manifest written last.

A step whose manifest bears the identity that the step would have now is finished, and is not done again. The
identity is a hash of what decides the result: the step's own words, the seed, its inputs, and the versions of
the libraries.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..core.errors import StorageError, UsageError
from ..core.files import atomic_folder, write_atomic
from .documents import json_bytes, plain

MANIFEST = "manifest.json"
RESULT = "result.json"
RECIPE = "recipe.json"
STEPS = "steps"
WORK = "work"

_FORMAT = 1
_LIBRARIES = ("sardonyx", "numpy", "scipy", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "torch")


@dataclass(frozen=True)
class StepRecord:
    """What a finished step left behind.

    Attributes:
        name: The step's name.
        kind: Its kind.
        identity: SHA-256 of everything that decides its result.
        folder: Where its files are.
        outputs: SHA-256 of each file.
        figures: What it measured, as plain data.
        seconds: How long it took when it was done.
        reused: Whether an earlier run had finished it.
    """

    name: str
    kind: str
    identity: str
    folder: Path
    outputs: Mapping[str, str]
    figures: Mapping[str, Any]
    seconds: float = field(compare=False)
    reused: bool = field(default=False, compare=False)


def prepare_folder(folder: Path, *, resume: bool, force: bool, mark: str = RECIPE, what: str = "run") -> None:
    """Make the folder of a run, or refuse the one that is there.

    Args:
        folder: The folder; those above it are made too.
        resume: Whether finished steps in it are to be reused.
        force: Whether an earlier run in it is to be forgotten.
        mark: The file by which such a folder is known.
        what: What fills it, in a word.

    Raises:
        UsageError: It holds something, and neither flag was given; or it is not the folder of a run.
        StorageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file: refused below
    except OSError as error:
        raise StorageError(
            f"cannot make the folder {folder}: {error.strerror or error}",
            remedy="choose another output folder",
        ) from error
    if not folder.is_dir():
        raise UsageError(f"output {folder} is not a folder", remedy="choose another output path")
    # A run that died before its first file was in place leaves a lock and what it had written aside.
    names = {p.name for p in folder.iterdir() if not re.fullmatch(r"\.lock(\..*)?|\..*\.tmp", p.name)}
    if not names:
        return
    if mark not in names:
        raise UsageError(
            f"folder {folder} holds files that no {what} has written",
            remedy="choose an empty or a new folder",
        )
    if not (resume or force):
        raise UsageError(
            f"folder {folder} holds an earlier {what}",
            remedy="--resume goes on with it, --force starts it again",
        )


def forget(folder: Path) -> None:
    """Remove what earlier runs left in a run's folder, and nothing else."""
    for name in (STEPS, WORK):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (MANIFEST, "report.json", "report.html", "model.onnx", "model.onnx.data"):
        (folder / name).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove half-written steps that a killed run left behind."""
    for aside in (*folder.glob(".*.tmp"), *(folder / STEPS).glob(".*.tmp"), *(folder / STEPS).glob(".*.old")):
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink()


def remove_work(folder: Path) -> None:
    """Remove the checkpoints of a step that is finished, and the folder of all checkpoints when it is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def identity_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, with the versions of the libraries that make results."""
    canonical = json.dumps(plain({**content, "libraries": _versions()}), sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def finished_step(folder: Path, identity: str) -> StepRecord | str:
    """The record of a finished step with this identity whose files are as they were written.

    Returns:
        The record; or, where the step has to be done, the reason.
    """
    if not (folder / MANIFEST).is_file():
        return "not finished before"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf8"))
        figures = json.loads((folder / RESULT).read_text(encoding="utf8"))
        outputs = {str(k): str(v) for k, v in manifest["outputs"].items()}
        if manifest["format"] != _FORMAT or manifest["identity"] != identity:
            return "the recipe, an input or a library has changed"
        changed = [name for name, digest in outputs.items() if file_sha256(folder / name) != digest]
        if changed:
            return f"{changed[0]} has changed on disk"
        return StepRecord(
            manifest["name"],
            manifest["kind"],
            identity,
            folder,
            outputs,
            figures,
            manifest["seconds"],
            reused=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its record cannot be read: {error}"


def write_step(
    folder: Path,
    name: str,
    kind: str,
    identity: str,
    work: Callable[[Path], Mapping[str, Any]],
    clock: Callable[[], float],
) -> StepRecord:
    """Do a step in a folder aside, add its manifest, and rename the folder into place.

    Args:
        folder: The step's folder; an earlier one is replaced.
        name: The step's name.
        kind: Its kind.
        identity: What :func:`finished_step` will ask for.
        work: Fills the folder and returns the step's figures.
        clock: Seconds, rising.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    start = clock()
    with atomic_folder(folder, force=True) as aside:
        figures = plain(work(aside))
        seconds = clock() - start
        write_atomic(aside / RESULT, json_bytes(figures))
        outputs = {p.name: file_sha256(p) for p in sorted(aside.iterdir()) if p.is_file()}
        manifest = {
            "format": _FORMAT,
            "name": name,
            "kind": kind,
            "identity": identity,
            "outputs": outputs,
            "seconds": seconds,
        }
        write_atomic(aside / MANIFEST, json_bytes(manifest))
    return StepRecord(name, kind, identity, folder, outputs, figures, seconds)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
