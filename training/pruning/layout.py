"""Groups of neurons on the parameters of a module: how large they are, and how they are scaled or set to zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ...core.errors import UsageError
from ..modules import device_of
from .groups import NeuronGroup, Slice, Vanished


class Layout:
    """Groups of neurons on the parameters of a module.

    Args:
        groups: The groups.
        module: Holds the parameters.

    Raises:
        UsageError: A group names a parameter, an axis or an index that the module does not have.
    """

    def __init__(self, groups: Sequence[NeuronGroup], module: nn.Module) -> None:
        self.groups, self.module = tuple(groups), module
        self.parameters = dict(module.named_parameters())
        for group in self.groups:
            for part in group.slices:
                _check(group, part, self.parameters)
        self._indices = {
            id(part): torch.from_numpy(part.indices).to(self.parameters[part.parameter].device)
            for group in self.groups
            for part in group.slices
        }
        self.device = device_of(module)
        self.total = sum(p.numel() for p in self.parameters.values())

    @classmethod
    def again(cls, before: Layout | None, groups: Sequence[NeuronGroup], module: nn.Module) -> Layout:
        """The layout that was made before, where the module is the same and has not been moved; or a new one."""
        if before is None or before.module is not module or before.device != device_of(module):
            return cls(groups, module)
        return before

    @torch.no_grad()
    def norms(self) -> list[torch.Tensor]:
        """For each group the Euclidean norm of all that makes and reads each neuron, shape ``(width,)``, float32.

        Weights that are normalised behind do not count: their size changes nothing.
        A weight between two neurons of the same group (in a residual stage) counts for both.
        """
        return [sum((self._squares(part) for part in g.telling), torch.zeros(())).sqrt() for g in self.groups]

    @torch.no_grad()
    def importance(self) -> list[torch.Tensor]:
        """For each group how much each neuron matters, shape ``(width,)``, float32: 1 is the mean of those that are left.

        The norm as in :meth:`norms`, with the square of each tensor in units of its mean over the group: otherwise the
        tensor with the largest entries decides, and before a normalisation those say nothing.
        """
        found = []
        for group in self.groups:
            squares = torch.stack([self._squares(part) for part in group.telling])
            left = (squares > 0).any(0).sum().clamp(min=1)
            means = (squares.sum(1, keepdim=True) / left).clamp(min=torch.finfo(squares.dtype).tiny)
            sizes = (squares / means).sum(0).sqrt()
            found.append(sizes * left / sizes.sum().clamp(min=torch.finfo(sizes.dtype).tiny))
        return found

    def entries(self) -> list[int]:
        """For each group how many entries of parameters the norm of one neuron is over."""
        return [sum(self._entries(part) for part in group.telling) for group in self.groups]

    @torch.no_grad()
    def scale(self, factors: Sequence[torch.Tensor]) -> None:
        """Multiply all that makes and reads each neuron; weights that are normalised behind only by 0.

        Args:
            factors: For each group a factor for each neuron, shape ``(width,)``.
        """
        for group, factor in zip(self.groups, factors, strict=True):
            for part in group.slices:
                parameter, indices = self.parameters[part.parameter], self._indices[id(part)]
                along = torch.ones(parameter.shape[part.axis], dtype=parameter.dtype, device=parameter.device)
                own = factor != 0 if part.role == "normalized" else factor
                along[indices] = own.to(along)[:, None].expand_as(indices)
                shape = [1] * parameter.ndim
                shape[part.axis] = -1
                parameter.mul_(along.reshape(shape))

    def params_left(self, widths: Sequence[int]) -> int:
        """Parameters of the module that are left where the groups have these widths."""
        gone: dict[tuple[str, int], int] = {}
        for group, width in zip(self.groups, widths, strict=True):
            for part in group.slices:
                key = part.parameter, part.axis
                gone[key] = gone.get(key, 0) + (group.width - width) * part.indices.shape[1]
        shapes = {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}
        return sum(
            math.prod(size - gone.get((name, axis), 0) for axis, size in enumerate(shape))
            for name, shape in shapes.items()
        )

    @torch.no_grad()
    def vanished(self) -> tuple[Vanished, ...]:
        """For each group the neurons of which nothing is left but zeros.

        One neuron stays in any case: a layer without any would be no layer.
        """
        found = []
        for group in self.groups:
            largest = torch.stack([self._largest(part) for part in group.slices]).amax(0)
            silent = (largest == 0).nonzero().flatten().tolist()
            going = silent[1:] if len(silent) == group.width else silent
            found.append(Vanished(group.name, group.width, tuple(going)))
        return tuple(found)

    def _squares(self, part: Slice) -> torch.Tensor:
        return self._gathered(part, self._matrix(part).float().square().sum(1)).sum(1)

    def _largest(self, part: Slice) -> torch.Tensor:
        return self._gathered(part, self._matrix(part).float().abs().amax(1)).amax(1)

    def _matrix(self, part: Slice) -> torch.Tensor:
        """A parameter with a row for each index of the axis."""
        parameter = self.parameters[part.parameter]
        return parameter.movedim(part.axis, 0).reshape(parameter.shape[part.axis], -1)

    def _gathered(self, part: Slice, along: torch.Tensor) -> torch.Tensor:
        """What belongs to each neuron, in the CPU's memory, shape ``(width, indices of one)``."""
        return along[self._indices[id(part)]].cpu()

    def _entries(self, part: Slice) -> int:
        parameter = self.parameters[part.parameter]
        return int(part.indices.shape[1]) * parameter.numel() // parameter.shape[part.axis]


def find_vanished(module: nn.Module, groups: Sequence[NeuronGroup]) -> tuple[Vanished, ...]:
    """The neurons of a trained module that can go, because nothing is left of them but zeros.

    Args:
        module: The module.
        groups: Its groups of neurons.

    Returns:
        An entry for each group, in order.

    Raises:
        UsageError: The groups are not those of the module.
    """
    return Layout(groups, module).vanished()


def weights_of(module: nn.Module, names: Iterable[str] | None = None) -> dict[str, nn.Parameter]:
    """The parameters that are pruned or punished one by one.

    Args:
        module: The module.
        names: Which; None takes all of two and more dimensions, so neither biases nor normalisation.

    Raises:
        UsageError: There is no such parameter, or none at all.
    """
    parameters = dict(module.named_parameters())
    if names is None:
        found = {name: p for name, p in parameters.items() if p.ndim > 1}
        if not found:
            raise UsageError("the module has no weights of two and more dimensions", remedy="name parameters")
        return found
    chosen = list(names)
    unknown = [name for name in chosen if name not in parameters]
    if unknown or not chosen:
        raise UsageError(
            f"the module has no parameter {unknown[0]!r}" if unknown else "no parameter is named",
            remedy="name some of its named_parameters()",
        )
    return {name: parameters[name] for name in chosen}


def _check(group: NeuronGroup, part: Slice, parameters: dict[str, nn.Parameter]) -> None:
    parameter = parameters.get(part.parameter)
    if parameter is None:
        problem = "which the module does not have"
    elif part.axis >= parameter.ndim:
        problem = f"axis {part.axis}, and it has {parameter.ndim}"
    elif int(part.indices.max()) >= parameter.shape[part.axis]:
        problem = f"index {part.indices.max()} of axis {part.axis}, which has {parameter.shape[part.axis]}"
    else:
        return
    raise UsageError(
        f"group {group.name} names parameter {part.parameter!r}: {problem}",
        remedy="use the groups of this module",
    )
