"""Which argument of ``forward`` each input is, and what its outputs are called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..core.errors import ModelError, UsageError
from ..core.tensors import Array, Feed

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Binding:
    """How inputs by name become a call.

    Attributes:
        positional: Input names passed by position, in order.
        keyword: Input names passed by keyword.
        parameters: The parameter of ``forward`` that each positional input meets, as far as they have names.
        rest: The name of ``forward``'s ``*args`` parameter, where positional inputs reach into it.
    """

    positional: tuple[str, ...]
    keyword: tuple[str, ...]
    parameters: tuple[str, ...]
    rest: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All input names in the order of the call."""
        return self.positional + self.keyword

    def arguments(
        self, feed: Feed, device: torch.device
    ) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        """The call's arguments for a feed."""
        tensors = {name: torch.from_numpy(array).to(device) for name, array in feed.items()}
        return tuple(tensors[n] for n in self.positional), {n: tensors[n] for n in self.keyword}

    def by_parameter(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Rearrange a value for each input as ``forward``'s own parameters are arranged."""
        listed = [values[name] for name in self.positional]
        arranged = dict(zip(self.parameters, listed, strict=False))
        if self.rest is not None:
            arranged[self.rest] = tuple(listed[len(self.parameters) :])
        return arranged | {name: values[name] for name in self.keyword}


def bind(module: nn.Module, names: Sequence[str]) -> Binding:
    """Match input names with the parameters of ``forward``.

    Args:
        module: The module.
        names: Names of the inputs.

    Raises:
        UsageError: Some names are parameters and others are not, or there are too many.
    """
    found = inspect.signature(module.forward).parameters.values()
    ordered = [p.name for p in found if p.kind in _POSITIONAL]
    named = [*ordered, *(p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY)]
    rest = next((p.name for p in found if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
    known = [name for name in names if name in named]
    if not known:
        return _by_position(names, ordered, rest)
    if len(known) < len(names):
        _refuse([n for n in names if n not in named], named)
    first = [
        name for name, wanted in zip(ordered, sorted(known, key=named.index), strict=False) if name == wanted
    ]
    return Binding(tuple(first), tuple(n for n in named if n in known and n not in first), tuple(first), None)


def _by_position(names: Sequence[str], ordered: Sequence[str], rest: str | None) -> Binding:
    if len(names) > len(ordered) and rest is None:
        _refuse(names[len(ordered) :], ordered)
    reaches = rest if len(names) > len(ordered) else None
    return Binding(tuple(names), (), tuple(ordered[: len(names)]), reaches)


def _refuse(unknown: Sequence[str], parameters: Sequence[str]) -> None:
    raise UsageError(
        f"forward takes no {', '.join(unknown)}",
        remedy=f"name the inputs as it does: {', '.join(parameters)}",
    )


def flatten(outputs: object, prefix: str = "output") -> dict[str, Array]:
    """Name the outputs: a dictionary's keys, ``output`` for a single tensor, ``output_0`` and on for several.

    Args:
        outputs: What ``forward`` returned.
        prefix: The name to build on.

    Returns:
        Arrays by name, in the order in which torch's exporters flatten them.

    Raises:
        ModelError: There is something else than tensors in tuples, lists and dictionaries.
    """
    if isinstance(outputs, torch.Tensor):
        return {prefix: outputs.detach().cpu().numpy()}
    named: dict[str, Array] = {}
    if isinstance(outputs, Mapping):
        for key, value in outputs.items():
            named |= flatten(value, str(key) if prefix == "output" else f"{prefix}_{key}")
    elif isinstance(outputs, (tuple, list)):
        for index, value in enumerate(outputs):
            named |= flatten(value, f"{prefix}_{index}" if len(outputs) > 1 else prefix)
    else:
        raise ModelError(
            f"forward returns {type(outputs).__name__}",
            remedy="return tensors, in tuples, lists or dictionaries",
        )
    return named
