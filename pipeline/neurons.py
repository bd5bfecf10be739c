"""Neurons between the graph, which knows what goes together, and training, which makes them zero; and the cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, LiftConstantsToInitializersPass, NameFixPass

from ..calib_data import CalibrationData
from ..calib_data.runner import OrtRunner
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..core.reports import Skip
from ..core.shapes import infer_shapes
from ..core.targets import Target
from ..passes.coupling import Coupling, Group, analyze
from ..passes.pruning import PlannedCut, PrunePlan
from ..passes.pruning.plan import members_of
from ..passes.pruning.proof import prove_cut
from ..runtime.feeds import feed_of, fixed_batch
from ..training.pruning import NeuronGroup, Slice, SliceRole, Vanished
from .opening import ModelLike, as_model, clean
from .origins import Origin, find_origins
from .pruning import Pruned, prune

if TYPE_CHECKING:
    from torch import nn

_PROOF_SAMPLES = 16

Origins = Mapping[str, Origin]
"""The parameter of each initializer that is one, by name."""

_Gone = dict[tuple[str, int], npt.NDArray[np.int64]]
"""Which indices are zero, by tensor and axis."""


@dataclass(frozen=True)
class Neurons:
    """The neurons of a module, as its graph shows them.

    Attributes:
        groups: Those that can be pruned while the module is trained.
        skipped: The groups that cannot, each with its reason.
    """

    groups: tuple[NeuronGroup, ...]
    skipped: tuple[Skip, ...]


def find_neurons(
    model: ModelLike, module: nn.Module, data: CalibrationData | None = None, *, exclude: Sequence[str] = ()
) -> Neurons:
    """Find which neurons of a module go together, by the coupling of its graph.

    Args:
        model: The module's graph: its export, or the graph that a
            :class:`~sardonyx.training.graph.TrainableGraph` was made from.
        module: The module; its parameters are found by the names that they have in the graph.
        data: Samples; with them, normalisation that the export has folded is found in the module.
        exclude: Names of groups that are left alone.

    Returns:
        The groups, and a reason for every other.

    Raises:
        UsageError: The graph shares no group with the module, or a group to be left alone is not there.
    """
    graph = clean(as_model(model))[0].load()
    coupling, origins = _analyze(graph), find_origins(graph, module)
    _check_names(coupling, exclude)
    groups, skipped = [], []
    for group in coupling.all_groups:
        reason = group.frozen or _reason(coupling, group, origins, exclude)
        if reason is not None:
            skipped.append(replace(reason, node=group.name))
        else:
            groups.append(_as_neurons(coupling, group, origins))
    if not groups:
        raise UsageError(
            f"no neurons of the module can be pruned ({'; '.join(dict.fromkeys(s.text for s in skipped))})",
            remedy="give the graph that was exported from this module",
        )
    found = tuple(groups)
    if data is not None:
        from ..training.batches import read_samples
        from ..training.pruning import with_normalization

        found = with_normalization(found, module, read_samples(data, range(min(2, len(data)))))
    return Neurons(found, tuple(skipped))


def cut_vanished(
    model: ModelLike,
    module: nn.Module,
    groups: Sequence[NeuronGroup],
    data: CalibrationData | None = None,
    *,
    target: str | Target = "auto",
) -> Pruned:
    """Cut the neurons that training has made zero out of the graph, and prove that nothing else changed.

    Two proofs: that of every cut, against the graph with the neurons masked; and that the graph as it was trained, zeros
    and all, gives what the cut one gives.

    Args:
        model: The module's graph with the trained weights: its export, or what ``write_back`` gave.
        module: The module, trained.
        groups: Its neurons.
        data: Samples for the proofs; made up where not given.
        target: What the model is made for.

    Returns:
        The model, in memory, and what was done.

    Raises:
        UsageError: No neuron has become zero, or the graph is another one.
        ExpectationError: A proof fails.
    """
    from ..training.pruning import find_vanished

    vanished = find_vanished(module, groups)
    artifact = as_model(model)
    cleaned, _ = clean(artifact)
    graph = cleaned.load()
    plan = plan_of_vanished(_analyze(graph), groups, vanished, find_origins(graph, module))
    samples = _made_up(cleaned) if data is None else data.for_model(cleaned.inputs)
    pruned = prune(
        artifact, samples, target=target, plan=plan, criterion="magnitude", compensate=False, align=1
    )
    try:
        prove_cut(cleaned.load(), pruned.model.load(), samples, OrtRunner())
    except ExpectationError as error:
        raise ExpectationError(
            f"the trained graph and the cut one differ: {error.cause}",
            remedy="something reads these neurons by other ways than weights: leave the groups out",
        ) from error
    return pruned


def plan_of_vanished(
    coupling: Coupling, groups: Sequence[NeuronGroup], vanished: Sequence[Vanished], origins: Origins
) -> PrunePlan:
    """The plan that cuts neurons out of a graph.

    Args:
        coupling: The analysis of the graph after the cleanup.
        groups: Groups of neurons, by the module's parameters.
        vanished: For each group what goes.
        origins: The parameter of each initializer.

    Raises:
        UsageError: Nothing goes, or a neuron is none that the graph lets be cut.
    """
    by_name = {v.group: v for v in vanished}
    wanted = {g.name: by_name[g.name].neurons for g in groups if by_name[g.name].neurons}
    if not wanted:
        raise UsageError(
            "no neuron has become zero",
            remedy="train to the end of the schedule, or with a stronger penalty",
        )
    gone = _gone_indices(groups, wanted, origins)
    cuts = []
    for group in coupling.groups:
        positions = _positions(coupling, group, gone)
        if positions:
            cuts.append(PlannedCut(group.name, group.size, positions, members_of(group)))
    planned, asked = sum(len(cut.cut) for cut in cuts), sum(map(len, wanted.values()))
    if planned != asked:
        raise UsageError(
            f"{asked} neurons are zero, and the graph lets {planned} of them be cut",
            remedy="give the graph that the groups were found in, with the trained weights",
        )
    return PrunePlan(tuple(cuts))


def _made_up(model: ModelArtifact) -> CalibrationData:
    """Random samples: both proofs hold on any input."""
    batch = fixed_batch(model, None) or _PROOF_SAMPLES
    return CalibrationData.from_arrays(feed_of(model, None, batch), origin="made up for the proof")


def _analyze(model: ir.Model) -> Coupling:
    InlinePass()(model)
    LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0)(model)
    NameFixPass()(model)
    infer_shapes(model)
    return analyze(model)


def _check_names(coupling: Coupling, exclude: Sequence[str]) -> None:
    known = {group.name for group in coupling.all_groups}
    for name in exclude:
        if name not in known:
            raise UsageError(
                f"the graph has no group {name!r}", remedy="see `sardonyx inspect --coupling` for their names"
            )


def _reason(coupling: Coupling, group: Group, origins: Origins, exclude: Sequence[str]) -> Skip | None:
    """Why the neurons of a group cannot be pruned while training; None where they can."""
    if group.name in exclude:
        return Skip(group.name, None, "excluded", "left alone as asked")
    for member in group.members:
        value = member.value.name or ""
        if value not in origins and _is_read(coupling, member.value, member.axis):
            text = f"{value}, which reads these neurons, is no parameter of the module"
            return Skip(value, member.axis, "no-parameter", text)
    if not any(member.value.name in origins for member in group.members):
        return Skip(group.name, None, "no-parameter", "nothing of these neurons is a parameter of the module")
    return None


def _as_neurons(coupling: Coupling, group: Group, origins: Origins) -> NeuronGroup:
    """A group by the module's parameters; what makes neurons and is no parameter (statistics) is left out."""
    slices = []
    for member in group.members:
        own = origins.get(member.value.name or "")
        labels = coupling.classes_of(member.value, member.axis)
        if own is None or labels is None:
            continue
        role: SliceRole = "reads" if _is_read(coupling, member.value, member.axis) else "makes"
        slices.append(Slice(own.parameter, own.axes[member.axis], _rows(labels, group.classes), role))
    return NeuronGroup(group.name, group.size, tuple(slices))


def _rows(labels: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The indices of each class along an axis, shape ``(classes, indices of one)``."""
    place = np.full(int(max(labels.max(), classes.max())) + 1, -1, dtype=np.int64)
    place[classes] = np.arange(len(classes))
    owners = place[labels]
    indices = np.flatnonzero(owners >= 0)
    return indices[np.argsort(owners[indices], kind="stable")].reshape(len(classes), -1)


def _is_read(coupling: Coupling, value: ir.Value, axis: int) -> bool:
    return any(c.weight is value and c.weight_axis == axis for c in coupling.contractions)


def _gone_indices(
    groups: Sequence[NeuronGroup], wanted: Mapping[str, Sequence[int]], origins: Origins
) -> _Gone:
    by_place: _Gone = {}
    for group in groups:
        for part in group.slices:
            rows = part.indices[list(wanted.get(group.name, ()))].ravel()
            place = part.parameter, part.axis
            by_place[place] = np.concatenate([by_place.get(place, rows[:0]), rows])
    return {
        (name, axis): by_place[origin.parameter, own]
        for name, origin in origins.items()
        for axis, own in enumerate(origin.axes)
        if (origin.parameter, own) in by_place
    }


def _positions(coupling: Coupling, group: Group, gone: _Gone) -> tuple[int, ...]:
    """Positions of the neurons of which every index, as far as it is a parameter's, is to go."""
    going = np.ones(group.size, dtype=bool)
    seen = False
    for member in group.members:
        rows = gone.get((member.value.name or "", member.axis))
        labels = coupling.classes_of(member.value, member.axis)
        if rows is None or labels is None:
            continue
        seen = True
        going &= ~np.isin(group.classes, np.delete(labels, rows))
    return tuple(map(int, np.flatnonzero(going))) if seen else ()
