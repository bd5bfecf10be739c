"""Operators with bodies."""

from __future__ import annotations

from typing import Any

import torch

from ..plan import Kernel, NodePlan
from ..program import Program

Tensor = torch.Tensor


def if_(node: NodePlan) -> Kernel:
    """If: one of two bodies."""
    first, second = node.body("then_branch"), node.body("else_branch")
    node.asks_mode = True
    count = len(first.externals)

    def kernel(condition: Tensor, *captured: Any) -> tuple[Any, ...]:
        *values, mode = captured
        if bool(condition.reshape(-1)[0]):
            return tuple(first.run((), values[:count], mode))
        return tuple(second.run((), values[count:], mode))

    return kernel


def loop(node: NodePlan) -> Kernel:
    """Loop: a number of times, while a condition holds; scan outputs are stacked."""
    body = node.body("body")
    node.asks_mode = True
    carried = len(node.node.inputs) - 2
    read = node.read_number(0)

    def kernel(limit: Tensor | None, condition: Tensor | None, *others: Any) -> tuple[Any, ...]:
        *values, mode = others
        state, captured = values[:carried], values[carried:]
        most = read(limit)
        runs = True if condition is None else bool(condition.reshape(-1)[0])
        rows: list[list[Any]] = []
        step = 0
        while runs and (most is None or step < most):
            going, *made = body.run((torch.tensor(step), torch.tensor(runs), *state), captured, mode)
            state, runs = made[:carried], bool(going.reshape(-1)[0])
            rows.append(made[carried:])
            step += 1
        stacked = [torch.stack(list(column)) for column in zip(*rows, strict=True)]
        return (*state, *(stacked or _empty(body, carried + 1)))

    return kernel


def _empty(body: Program, since: int) -> list[Tensor]:
    """Scan outputs of a loop that did not run: no rows, of the shape that the body states."""
    return [torch.zeros((0, *shape), dtype=dtype) for shape, dtype in body.declared[since:]]


def scan(node: NodePlan) -> Kernel:
    """Scan (from version 9 on): a body over the slices of its inputs."""
    body, scanned = node.body("body"), node.integer("num_scan_inputs", 1)
    node.asks_mode = True
    carried = len(node.node.inputs) - scanned
    made_count = len(node.node.outputs) - carried
    axes_in, axes_out = node.ints("scan_input_axes"), node.ints("scan_output_axes")
    back_in, back_out = node.ints("scan_input_directions"), node.ints("scan_output_directions")

    def kernel(*others: Any) -> tuple[Any, ...]:
        *values, mode = others
        state, captured = values[:carried], values[carried + scanned :]
        columns = [
            x.movedim(axis, 0).flip(0) if back else x.movedim(axis, 0)
            for x, axis, back in zip(
                values[carried : carried + scanned],
                axes_in or (0,) * scanned,
                back_in or (0,) * scanned,
                strict=True,
            )
        ]
        rows = []
        for slices in zip(*columns, strict=True):
            made = body.run((*state, *slices), captured, mode)
            state = made[:carried]
            rows.append(made[carried:])
        axes, backs = axes_out or (0,) * made_count, back_out or (0,) * made_count
        stacked = (torch.stack(list(column)) for column in zip(*rows, strict=True))
        return (
            *state,
            *((s.flip(0) if b else s).movedim(0, a) for s, a, b in zip(stacked, axes, backs, strict=True)),
        )

    return kernel
