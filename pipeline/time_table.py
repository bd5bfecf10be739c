"""A table of how long each layer takes at each width, measured on this machine, and kept for the next time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.cache import cache_path, read_cached, write_cached
from ..core.errors import StorageError
from ..core.targets import Target
from ..passes.pruning import NodeTimes, PruneOptions, TimeTable, node_work, sample_shapes_of
from ..passes.pruning import prune as prune_graph
from ..runtime import REST, environment_fingerprint, time_nodes
from .monitor import Monitor

_LEVELS = (0.0, 0.25, 0.5, 0.625, 0.75, 0.875)
"""Shares of its neurons that every group loses in the models that are timed."""

_TABLE = TypeAdapter(TimeTable)


def time_table(
    model: ModelArtifact,
    data: CalibrationData | None,
    options: PruneOptions,
    target: Target,
    *,
    batch: int,
    threads: int,
    seed: int,
    monitor: Monitor,
    form: tuple[str, Callable[[ModelArtifact], ModelArtifact]] | None = None,
) -> TimeTable:
    """How long the nodes of a model take at several widths.

    Whole models are timed, cut alike in all groups, because a layer alone is fused and laid out in other ways than
    within its network. A node's time at other widths is read off between those that were measured.

    Args:
        model: The model, clean.
        data: Samples to run.
        options: Whose alignment and exclusions the cuts keep.
        target: Whose multiples the widths keep.
        batch: Samples in a run.
        threads: Threads; 0 leaves it to ONNX Runtime.
        seed: Seed of the order.
        monitor: Is told what is kept or found.
        form: In which form the model is to run, such as ``int8``, and what brings a cut model into it; its nodes keep
            their names. As it is where None.

    Raises:
        ExpectationError: Nothing may be cut.
    """
    name, formed = form or ("", lambda model: model)
    machine = environment_fingerprint()
    path = cache_path(
        "times",
        model=model.sha256,
        provider=target.provider,
        machine=f"{machine.cpu} {machine.cores} {machine.versions.get('onnxruntime')}",
        threads=threads,
        batch=batch,
        options=f"{options.align} {options.exclude} {options.approximate} {target.channel_multiple} {_LEVELS} {name}",
    )
    kept = read_cached(path)
    if kept is not None:
        try:
            table = _TABLE.validate_python(kept)
        except ValidationError:
            monitor.note(f"{path} is not a table of times: measured anew")
        else:
            monitor.note("layer times: kept from an earlier run on this machine")
            return table
    models = _cut_models(model, data, options, target, monitor)
    as_run = {level: formed(cut) for level, cut in models.items()}
    timed = time_nodes(as_run, data, batch=batch, threads=threads, seed=seed)
    table = _table_of(models, timed, data)
    try:
        write_cached(path, asdict(table))
    except (OSError, StorageError) as error:
        monitor.note(f"layer times are not kept: {error}")
    return table


def _cut_models(
    model: ModelArtifact,
    data: CalibrationData | None,
    options: PruneOptions,
    target: Target,
    monitor: Monitor,
) -> dict[str, ModelArtifact]:
    """The model at every level, by the level."""
    models: dict[str, ModelArtifact] = {}
    with monitor.progress("cutting to be timed") as progress:
        for index, level in enumerate(_LEVELS):
            models[str(level)] = _cut_alike(model, data, options, target, level) if level else model
            progress(index + 1, len(_LEVELS))
    return models


def _table_of(
    models: Mapping[str, ModelArtifact],
    timed: Mapping[str, Mapping[str, float]],
    data: CalibrationData | None,
) -> TimeTable:
    """Times of every node against what it had to do in each model."""
    shapes = sample_shapes_of(data)
    points: dict[str, dict[float, float]] = defaultdict(dict)
    for name, artifact in models.items():
        work = node_work(artifact.load(), shapes)
        for node, ms in timed[name].items():
            if node in work:
                points[node][work[node]] = ms
    rest = float(np.mean([times.get(REST, 0.0) for times in timed.values()]))
    return TimeTable({node: _rising(found) for node, found in points.items()}, rest)


def _rising(points: Mapping[float, float]) -> NodeTimes:
    """Times that do not fall as the work grows: what noise says to the contrary is smoothed away."""
    work = sorted(points)
    raw = np.asarray([points[w] for w in work])
    # Of all that has less to do the most, of all that has more the least: halfway between is monotone.
    ms = (np.maximum.accumulate(raw) + np.minimum.accumulate(raw[::-1])[::-1]) / 2
    return NodeTimes(tuple(map(float, work)), tuple(map(float, ms)))


def _cut_alike(
    model: ModelArtifact, data: CalibrationData | None, options: PruneOptions, target: Target, level: float
) -> ModelArtifact:
    plain = PruneOptions(
        ratio=level,
        criterion="magnitude",
        compensate=False,
        steps=1,
        align=options.align,
        exclude=options.exclude,
        approximate=options.approximate,
    )
    few = None if data is None else data.subset(data.batch_size_for(1), seed=0)
    return ModelArtifact.of(prune_graph(model.load(), few, plain, target=target).model)
