"""Why a provider leaves a unit on the CPU: its table asked, unit by unit, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from .mobile_lists import read_list
from .partitions import followers_of
from .provider_rules import Condition, Provider, Rule, UnitView
from .qdq_units import Unit
from .usability_graph import PreparedGraph


def reasons_of(provider: Provider, units: Sequence[Unit], graph: PreparedGraph) -> list[str]:
    """Say for each unit why the provider leaves it; nothing where it takes it.

    Args:
        provider: The provider.
        units: The units of the graph, in order.
        graph: The graph.

    Raises:
        MissingExtraError: ONNX Runtime, whose list is read, is not installed.
        EnvironmentFault: Its list has another form than those that are known.
    """
    listed = read_list(provider.list_name) if provider.list_name else None
    stopped = _stopped(provider, units)
    reasons: list[str] = []
    takers: dict[ir.Value, Unit] = {}
    for index, unit in enumerate(units):
        view = UnitView(unit, graph.opsets, graph.fixed)
        rule = provider.rules.get(view.key)
        if index in stopped:
            reason = stopped[index]
        elif (listed is not None and view.key not in listed) or (listed is None and rule is None):
            reason = provider.absent.get(view.key, "operator not supported")
        elif rule is not None and rule.joins:
            reason = _joined(rule, view, takers)
        else:
            reason = _checked(provider, rule, view)
        reasons.append(reason)
        if not reason:
            takers |= dict.fromkeys(unit.target.outputs, unit)
    return reasons


def _checked(provider: Provider, rule: Rule | None, view: UnitView) -> str:
    """What is not met of types and shapes, or else the first of the operator's own conditions that is not."""
    if not view.unit.is_group:
        kind = provider.single if rule is None or rule.single is None else rule.single
    elif rule is None or rule.group is None:
        return f"no integer kernel for {view.node.op_type} between Q and DQ"
    else:
        kind = rule.group
    general = [reason for checks in (kind, provider.common) if (reason := _first(checks, view))]
    own = () if rule is None else rule.conditions
    return "; ".join(general) or _first(own, view)


def _first(conditions: Sequence[Condition], view: UnitView) -> str:
    return next((reason for condition in conditions if (reason := condition(view))), "")


def _joined(rule: Rule, view: UnitView, takers: Mapping[ir.Value, Unit]) -> str:
    """Whether a node goes into the kernel of the one before it."""
    value = view.value(0)
    before = None if value is None else takers.get(value)
    if view.unit.is_group or before is None or before.is_group or before.target.op_type not in rule.joins:
        names = " or ".join(sorted(rule.joins))
        return f"no kernel of its own: joins only a float {names} that is taken"
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return f"cannot join the {before.target.op_type} before it, whose result others read too"
    return _first(rule.conditions, view)


def _stopped(provider: Provider, units: Sequence[Unit]) -> dict[int, str]:
    """Units at and behind an operator where the provider stops."""
    todo = [(i, unit.target.op_type) for i, unit in enumerate(units) if unit.target.op_type in provider.stops]
    after = followers_of(units) if todo else []
    found: dict[int, str] = {}
    while todo:
        index, cause = todo.pop()
        if index not in found:
            found[index] = f"at or behind {cause}, where {provider.name} stops"
            todo += [(follower, cause) for follower in after[index]]
    return found
