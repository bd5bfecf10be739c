"""What steps are called, and what later steps may call what they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.errors import RecipeError
from .steps import (
    CompareStep,
    DistillStep,
    ExportStep,
    HealStep,
    NetworkStep,
    PruneStep,
    QuantizeStep,
    Step,
)

_NETWORK, _NETWORKS, _GRAPH = "network", "networks", "graph"


def step_names(steps: Sequence[Step]) -> tuple[str, ...]:
    """A name for every step: its own, or its kind, numbered where several share it."""
    names: list[str] = []
    for step in steps:
        name = step.name or step.kind
        same = sum(1 for other in names if other == name or other.rpartition("-")[0] == name)
        names.append(name if step.name or not same else f"{name}-{same + 1}")
    return tuple(names)


def network_names(step: str, count: int) -> tuple[str, ...]:
    """What the networks of a training step are called: as the step where there is one, else ``STEP.1`` and so on.

    Args:
        step: The step's name.
        count: How many networks it trains.
    """
    return (step,) if count == 1 else tuple(f"{step}.{number}" for number in range(1, count + 1))


def check_names(steps: Sequence[Step], origin: str, *, has_model: bool) -> None:
    """Refuse names that clash, and references to what no step has made before.

    Args:
        steps: The steps, in order.
        origin: Where they are from, for messages.
        has_model: Whether the chain starts from a graph, called ``model``.

    Raises:
        RecipeError: With the place.
    """
    seen: dict[str, str] = {"model": _GRAPH} if has_model else {}
    latest: str | None = None
    for index, (step, name) in enumerate(zip(steps, step_names(steps), strict=True)):
        place = f"{origin}: steps.{index}"
        made = _made_by(step, name)
        if taken := next((own for own in made if own in seen), None):
            raise RecipeError(f"{place}.name: {taken!r} is taken", remedy="give each step a name of its own")
        for key, wanted, kinds in _references(step, latest):
            if seen.get(wanted) not in kinds:
                raise _unusable(f"{place}.{key}", step, wanted, kinds, seen)
        seen |= made
        latest = name if isinstance(step, NetworkStep) else latest


def _made_by(step: Step, name: str) -> dict[str, str]:
    """What a step makes, by name; its own name comes first, also where nothing is called so."""
    if isinstance(step, CompareStep):
        return {name: "figures"}
    if not isinstance(step, NetworkStep):
        return {name: _GRAPH}
    return {name: _NETWORKS} | dict.fromkeys(network_names(name, len(step.factories)), _NETWORK)


def _unusable(
    place: str, step: Step, wanted: str, kinds: frozenset[str], seen: Mapping[str, str]
) -> RecipeError:
    """The error for a name that does not stand for what a step takes."""
    there = [name for name, what in seen.items() if what in kinds]
    is_several = seen.get(wanted) == _NETWORKS and _NETWORK in kinds
    return RecipeError(
        f"{place}: step {wanted!r} makes several networks"
        if is_several
        else f"{place}: no earlier step {wanted!r} makes what {step.kind} takes",
        remedy=f"name one of: {', '.join(there) or 'none is there before this step'}",
    )


def _references(step: Step, latest: str | None) -> list[tuple[str, str, frozenset[str]]]:
    """What a step names: the key, the name, and what may bear it.

    Args:
        step: The step.
        latest: The training step before it, which an export without a name of its own means.
    """
    network, graph = frozenset({_NETWORK}), frozenset({_GRAPH})
    match step:
        case DistillStep(teacher_weights=None, has_graph_file=False):
            return [("teacher", step.teacher, network | graph)]
        case ExportStep(of=str(name)):
            return [("of", name, network)]
        case ExportStep(of=None, source=None) if latest is not None:
            return [("of", latest, network)]
        case HealStep():
            named = [] if step.of is None else [("of", step.of, graph)]
            return [("teacher", step.teacher, graph), *named]
        case PruneStep(of=str(name)) | QuantizeStep(of=str(name)):
            return [("of", name, graph)]
        case CompareStep():
            return [("of", name, graph) for name in step.of]
    return []
