"""What the module itself gives on every case of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import ModelError, UsageError
from ..core.tensors import Array
from .binding import Binding, flatten
from .cases import Case, make_cases
from .options import ExportOptions
from .parity import constant_outputs, magnitude_of


@dataclass(frozen=True)
class Reference:
    """What the module gives, case by case.

    Attributes:
        cases: The inputs.
        outputs: For each case, the outputs by name.
    """

    cases: Sequence[Case]
    outputs: Sequence[Mapping[str, Array]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.outputs[0])

    def floor(self, output: str) -> float:
        """Magnitude of an output on ordinary inputs."""
        pairs = zip(self.cases, self.outputs, strict=True)
        return max(magnitude_of(found[output]) for case, found in pairs if case.kind == "normal")

    def output_axes(self, options: ExportOptions) -> dict[str, dict[int, str]]:
        """The axes of each output whose size differs between cases."""
        return {name: self._free_axes(name, options) for name in self.names}

    def _free_axes(self, output: str, options: ExportOptions) -> dict[int, str]:
        shapes = [found[output].shape for found in self.outputs]
        first = next(iter(options.inputs))
        batches = [case.feed[first].shape[0] for case in self.cases]
        free = [axis for axis in range(len(shapes[0])) if len({shape[axis] for shape in shapes}) > 1]
        batch = options.axes_of(first).get(0, "")
        follows = {axis for axis in free if batch and [s[axis] for s in shapes] == batches}
        return {axis: batch if axis in follows else f"{output}_{axis}" for axis in free}

    def notes(self) -> tuple[str, ...]:
        """What a comparison with this cannot show."""
        size = self.cases[0].name.partition(", ")[2]
        pairs = zip(self.cases, self.outputs, strict=True)
        same_size = {case.name: found for case, found in pairs if case.name.endswith(size)}
        notes = [
            f"{name} is the same for every input: parity shows little" for name in constant_outputs(same_size)
        ]
        notes += [
            f"{name} is empty: nothing was compared" for name in self.names if not self.outputs[0][name].size
        ]
        return tuple(notes)


def make_reference(module: nn.Module, binding: Binding, options: ExportOptions) -> Reference:
    """Run the module on every case.

    Args:
        module: In evaluation mode.
        binding: How inputs become a call.
        options: Inputs, free axes, output names.

    Raises:
        ModelError: The module fails, or an output is NaN throughout on ordinary inputs.
        UsageError: The output names do not fit.
    """
    cases = make_cases(options)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    outputs = []
    for case in cases:
        args, kwargs = binding.arguments(case.feed, device)
        try:
            raw = module(*args, **kwargs)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise ModelError(
                f"the module fails on {case.name}: {error!r}",
                remedy="check the input shapes and types, and which axes are free",
            ) from error
        outputs.append(_renamed(flatten(raw), options.output_names))
    _refuse_nan(cases, outputs)
    return Reference(cases, outputs)


def _renamed(outputs: dict[str, Array], names: Sequence[str]) -> dict[str, Array]:
    if not names:
        return outputs
    if len(set(names)) != len(names) or len(names) != len(outputs):
        raise UsageError(
            f"{len(set(names))} output names for {len(outputs)} outputs",
            remedy="give each output a name of its own",
        )
    return dict(zip(names, outputs.values(), strict=True))


def _refuse_nan(cases: Sequence[Case], outputs: Sequence[Mapping[str, Array]]) -> None:
    for case, found in zip(cases, outputs, strict=True):
        bad = [n for n, a in found.items() if case.kind == "normal" and a.dtype.kind == "f" and a.size]
        bad = [n for n in bad if not (found[n] == found[n]).any()]
        if bad:
            raise ModelError(
                f"{case.name}: the module's {bad[0]} is NaN throughout", remedy="check its weights"
            )
