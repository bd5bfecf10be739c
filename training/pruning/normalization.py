"""Normalisation that an export folds into the layer before it: in the module it is still there, and goes along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..batches import Inputs
from ..modules import device_of, evaluating
from .groups import NeuronGroup, Slice
from .layout import Layout


def with_normalization(
    groups: Sequence[NeuronGroup], module: nn.Module, inputs: Inputs
) -> tuple[NeuronGroup, ...]:
    """Add to groups the batch normalisation, and the bias, of each layer whose weight makes their neurons.

    An exported graph holds neither: both are folded into the weight. Which normalisation reads which layer is seen in
    one forward pass. The weight itself is marked as normalised.

    Args:
        groups: The groups as the exported graph shows them.
        module: The module.
        inputs: A batch for the forward pass.

    Returns:
        The groups, with what was added.

    Raises:
        UsageError: The groups are not those of the module.
    """
    parameters = Layout(groups, module).parameters
    readers = _readers(module, inputs)
    found = []
    for group in groups:
        known = {part.parameter for part in group.slices}
        slices: list[Slice] = []
        for part in group.slices:
            layer, _, kind = part.parameter.rpartition(".")
            size = parameters[part.parameter].shape[part.axis]
            slices.append(part)
            if kind != "weight" or part.role != "makes":
                continue
            if layer in readers:
                slices[-1] = replace(part, role="normalized")
            names = [
                f"{layer}.bias",
                *(f"{n}.{own}" for n in readers.get(layer, ()) for own in ("weight", "bias")),
            ]
            for name in names:
                if name in parameters and name not in known and parameters[name].shape == (size,):
                    known.add(name)
                    slices.append(Slice(name, 0, part.indices, "makes"))
        found.append(replace(group, slices=tuple(slices)))
    return tuple(found)


def _readers(module: nn.Module, inputs: Inputs) -> dict[str, list[str]]:
    """For each layer the batch normalisations that read its output as it is."""
    # The outputs are held, so that no other tensor gets the place of one in memory.
    made: dict[int, tuple[str, torch.Tensor]] = {}
    readers: dict[str, list[str]] = {}

    def note(name: str) -> None:
        def hook(part: nn.Module, given: tuple[object, ...], output: object) -> None:
            source = made.get(id(given[0])) if given else None
            if isinstance(part, _BatchNorm) and source is not None:
                readers.setdefault(source[0], []).append(name)
            if isinstance(output, torch.Tensor):
                made[id(output)] = name, output

        handles.append(part.register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, part in module.named_modules():
        if not list(part.children()):
            note(name)
    try:
        with evaluating(module), torch.no_grad():
            module(*(tensor.to(device_of(module)) for tensor in inputs))
    finally:
        for handle in handles:
            handle.remove()
    return readers
