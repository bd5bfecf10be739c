"""Running a recipe into a folder: step after step, each finished or not there, and a report at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import ModelArtifact
from ..core.errors import RecipeError, StorageError
from ..core.files import temporary_folder, write_atomic
from .chain import MODEL, Chain, Job
from .crowd import is_first, meet
from .documents import json_bytes
from .lock import locked
from .monitor import Monitor, Silent
from .names import check_names, step_names
from .opening import open_model
from .recipe import Recipe
from .report import RunReport
from .results import build_report, write_report
from .steps import CompareStep, DistillStep, MutualStep, NetworkStep, Step
from .workspace import (
    MANIFEST,
    RECIPE,
    STEPS,
    WORK,
    StepRecord,
    finished_step,
    forget,
    identity_of,
    prepare_folder,
    remove_work,
    sweep,
    write_step,
)


@dataclass(frozen=True)
class RunResult:
    """What a run gives.

    Attributes:
        folder: Where everything is.
        model: The last model of the chain; None where no step makes one.
        records: What each step left behind.
        models: SHA-256 of each model, by the step's name.
        report: What each stage gave.
    """

    folder: Path
    model: ModelArtifact | None
    records: tuple[StepRecord, ...]
    models: Mapping[str, str]
    report: RunReport

    def summary(self) -> dict[str, Any]:
        """The run for JSON."""
        return {
            "model": None if self.model is None else self.model.path,
            "models": self.models,
            "steps": [
                {
                    "name": r.name,
                    "kind": r.kind,
                    "reused": r.reused,
                    "seconds": r.seconds,
                    "figures": r.figures,
                }
                for r in self.records
            ],
        }


def run_recipe(
    recipe: Recipe,
    folder: str | Path,
    *,
    base: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    command: str = "",
    monitor: Monitor | None = None,
) -> RunResult:
    """Run a chain of steps.

    Every step is written aside and renamed into place, so that after a crash it is there or it is not; training
    goes on from its own checkpoints. The same recipe, data and libraries give the same models, however often
    the run was interrupted. Of several processes that ``torchrun`` started, all train, in a folder that all of them
    see, and the first one does everything else.

    Args:
        recipe: The recipe.
        folder: The folder to fill; made, with those above it, if it is not there.
        base: The folder that the recipe's paths are relative to; the current one where None.
        resume: Whether to reuse the finished steps of an earlier run.
        force: Whether to forget an earlier run.
        command: The command line, for the report.
        monitor: Is told how work goes on.

    Raises:
        UsageError: The folder holds an earlier run and neither flag is given, or another process runs in it.
        RecipeError: The recipe asks for something that is not there.
        SardonyxError: A step failed; the steps before it stay.
    """
    check_names(recipe.steps, "recipe", has_model=recipe.model is not None)
    place = Path(folder)
    monitor = monitor or Silent()
    if not is_first():
        meet()
        chain = Chain.start(recipe, Path(base or "."), Silent())
        records = _steps(chain, place, resume=resume)
        return RunResult(place, None, records, _models(records), build_report(chain, records, command))
    prepare_folder(place, resume=resume, force=force)
    with locked(place, monitor):
        if force and not resume:
            forget(place)
        sweep(place)
        write_atomic(place / RECIPE, json_bytes(recipe.model_dump()))
        meet()
        chain = Chain.start(recipe, Path(base or "."), monitor)
        records = _steps(chain, place, resume=resume)
        return _finish(chain, place, records, command)


def training_part(recipe: Recipe) -> Recipe:
    """The steps of a recipe that train torch modules, without the others.

    Raises:
        RecipeError: None of them distils, or one needs what another kind of step makes.
    """
    steps = tuple(step for step in recipe.steps if isinstance(step, NetworkStep))
    if not any(isinstance(step, DistillStep | MutualStep) for step in steps):
        raise RecipeError(
            "the recipe has no distill step, and no mutual one", remedy='add [[steps]] with kind = "distill"'
        )
    try:
        check_names(steps, "without the steps that train nothing", has_model=recipe.model is not None)
    except RecipeError as error:
        raise RecipeError(error.cause, remedy="call sardonyx run, which does the other steps too") from error
    return recipe.model_copy(update={"steps": steps})


def _steps(chain: Chain, place: Path, *, resume: bool) -> tuple[StepRecord, ...]:
    records: list[StepRecord] = []
    steps = _with_measurement(chain)
    for number, (step, name) in enumerate(zip(steps, step_names(steps), strict=True), start=1):
        title = f"step {number} of {len(steps)}, {name}"
        record = _step(chain, step, name, place, f"{number:02d}-{name}", title, resume=resume)
        chain.take(step, record)
        records.append(record)
    return tuple(records)


def _with_measurement(chain: Chain) -> tuple[Step, ...]:
    """The recipe's steps, with a comparison at the end where none is asked for and one can be made."""
    steps = chain.recipe.steps
    makes_graphs = chain.recipe.model is not None or any(step.kind == "export" for step in steps)
    if (
        any(isinstance(s, CompareStep) for s in steps)
        or not makes_graphs
        or not chain.samples.has("evaluation")
    ):
        return steps
    return (*steps, CompareStep(kind="compare"))


def _step(
    chain: Chain, step: Step, name: str, place: Path, folder_name: str, title: str, *, resume: bool
) -> StepRecord:
    folder, work = place / STEPS / folder_name, place / WORK / folder_name
    job = chain.job(step, name)
    identity = identity_of({"step": step.model_dump(), "name": name, "inputs": job.inputs})
    meet()
    found = finished_step(folder, identity)
    meet()  # nobody begins before all have looked
    if isinstance(found, StepRecord):
        chain.monitor.note(f"{title}: finished before, reused")
        return found
    chain.monitor.note(f"{title}: {found}, done now" if resume else title)
    checkpoints = work / identity[:16]
    if not is_first():
        return _share(job if isinstance(step, NetworkStep) else None, folder, identity, checkpoints)
    record = write_step(
        folder, name, step.kind, identity, lambda aside: job.work(aside, checkpoints), time.monotonic
    )
    meet()
    remove_work(work)
    return record


def _share(job: Job | None, folder: Path, identity: str, checkpoints: Path) -> StepRecord:
    """Take part in a step that the first process writes, and read what it wrote."""
    if job is not None:
        with temporary_folder() as aside:
            job.work(aside, checkpoints)
    meet()
    found = finished_step(folder, identity)
    if isinstance(found, StepRecord):
        return found
    raise StorageError(
        f"a process does not see what the first one wrote in {folder}: {found}",
        remedy="choose an output folder that all machines share",
    )


def _finish(chain: Chain, place: Path, records: tuple[StepRecord, ...], command: str) -> RunResult:
    models = _models(records)
    last = next((r for r in reversed(records) if MODEL in r.outputs), None)
    final = None if last is None else open_model(last.folder / MODEL).save(place / MODEL, force=True)
    weights = {name: network.weights_sha256 for name, network in chain.networks.items()}
    report = write_report(chain, place, records, command)
    manifest = {
        "recipe": chain.recipe.model_dump(),
        "model": None if last is None else {"file": MODEL, "step": last.name, "sha256": last.outputs[MODEL]},
        "models": models,
        "weights": weights,
        "steps": [
            {
                "name": r.name,
                "kind": r.kind,
                "folder": f"{STEPS}/{r.folder.name}",
                "identity": r.identity,
                "files": r.outputs,
            }
            for r in records
        ],
    }
    write_atomic(place / MANIFEST, json_bytes(manifest))
    return RunResult(place, final, records, models, report)


def _models(records: tuple[StepRecord, ...]) -> dict[str, str]:
    return {r.name: r.outputs[MODEL] for r in records if MODEL in r.outputs}
