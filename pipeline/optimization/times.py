"""What cuts are to save: the times of layers in the precision that the model will run in."""

from __future__ import annotations

from ...core import ModelArtifact
from ...passes.pruning import PruneOptions, TimeTable
from ..quantization import quantize
from ..time_table import time_table
from .candidates import Plan
from .workshop import Workshop

_SAMPLES = 64
"""Enough for ranges that are only timed with."""


def times_of(workshop: Workshop, options: PruneOptions) -> TimeTable:
    """The table of layer times: of integer kernels where the whole model is faster on them, else of float ones.

    A layer that integers make cheap is worth less of a cut than one that they do not.

    Args:
        workshop: Has measured, or measures now, the whole model in both.
        options: Whose alignment and exclusions the timed cuts keep.

    Raises:
        ExpectationError: Nothing may be cut.
    """
    subject, monitor = workshop.subject, workshop.monitor
    whole, integer = (workshop.candidate(plan) for plan in (Plan(), Plan(precision="int8")))
    pays = whole is not None and integer is not None and integer.speed_ratio > whole.speed_ratio
    few = subject.data.subset(min(_SAMPLES, len(subject.data)), seed=subject.options.seed)

    def in_integers(model: ModelArtifact) -> ModelArtifact:
        return quantize(model, few, target=subject.target, exclude=subject.options.exclude).model

    monitor.note(
        f"layers are timed in {'integers' if pays else 'float'}, which is faster for the whole model"
    )
    return time_table(
        subject.source,
        subject.data,
        options,
        subject.target,
        batch=subject.options.batch,
        threads=subject.options.threads,
        seed=subject.options.seed,
        monitor=monitor,
        form=("int8", in_integers) if pays else None,
    )
