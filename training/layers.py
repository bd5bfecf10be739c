"""What layers give in a forward pass, by their names: modules of a torch network, or values of a graph."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..core.errors import UsageError
from .batches import Inputs, Outputs
from .modules import device_of, evaluating

Values = dict[str, torch.Tensor]
"""What layers gave, by name."""


@runtime_checkable
class Layered(Protocol):
    """A module whose layers are no modules, and that knows how to look at them."""

    def layer_names(self) -> tuple[str, ...]:
        """Names of what can be looked at, in the order of computation."""
        ...

    def with_layers(self, inputs: Inputs, names: Sequence[str]) -> tuple[Outputs, Values]:
        """A forward pass, and what the named layers gave in it."""
        ...


@dataclass(frozen=True)
class LayerPair:
    """Two layers that are compared.

    Attributes:
        student: The student's, by name.
        teacher: The teacher's, by name.
    """

    student: str
    teacher: str

    def __str__(self) -> str:
        return f"{self.student}:{self.teacher}"


def parse_pairs(text: str) -> tuple[LayerPair, ...]:
    """Read ``student:teacher`` pairs with blanks between.

    Raises:
        UsageError: A pair has no colon, or an empty side.
    """
    pairs = []
    for word in text.split():
        student, colon, teacher = word.partition(":")
        if not (colon and student and teacher):
            raise UsageError(
                f"{word!r} is no pair of layers", remedy="write student:teacher, such as blocks.1:layers.3"
            )
        pairs.append(LayerPair(student, teacher))
    return tuple(pairs)


def propose_pairs(student: nn.Module, teacher: nn.Module, sample: Inputs) -> tuple[LayerPair, ...]:
    """Pair the layers of two networks by the shapes of what they give.

    Networks halve their images in stages, and the end of a stage is what it has found: for every size of image that
    both have, the last layer of that size of each is taken (for tokens: the last of each number of tokens and width).
    Outputs of the networks themselves, and rows of numbers, are left to the other losses.

    Args:
        student: The student.
        teacher: The teacher.
        sample: Inputs for both, of one sample or more.

    Returns:
        Pairs in the order of the student's layers.

    Raises:
        UsageError: They have no size in common.
    """
    stages = [_stages(module, sample) for module in (student, teacher)]
    pairs = tuple(LayerPair(name, stages[1][size]) for size, name in stages[0].items() if size in stages[1])
    if not pairs:
        raise UsageError(
            "no layers of student and teacher have the same size", remedy="name pairs of layers yourself"
        )
    return pairs


def layer_shapes(module: nn.Module, sample: Inputs) -> dict[str, tuple[int, ...]]:
    """The shape of what each layer gives for a sample, in the order of computation; several tensors are left out.

    Args:
        module: A network.
        sample: Its inputs.
    """
    sample = tuple(t.to(device_of(module)) for t in sample)
    with evaluating(module), torch.no_grad():
        if isinstance(module, Layered):
            values = module.with_layers(sample, module.layer_names())[1]
            tensors = {name: t for name, t in values.items() if isinstance(t, torch.Tensor)}
            return {name: tuple(t.shape) for name, t in tensors.items() if t.is_floating_point()}
        shapes: dict[str, tuple[int, ...]] = {}

        def note(name: str) -> Callable[..., None]:
            def hook(_: nn.Module, __: Any, output: Any) -> None:
                if isinstance(output, torch.Tensor):
                    shapes.pop(name, None)
                    shapes[name] = tuple(output.shape)

            return hook

        with contextlib.ExitStack() as stack:
            for name, part in module.named_modules():
                if name:
                    stack.enter_context(_removed(part.register_forward_hook(note(name))))
            module(*sample)
    return shapes


def with_layers(module: nn.Module, inputs: Inputs, names: Sequence[str]) -> tuple[Outputs, Values]:
    """A forward pass, and what the named layers gave in it.

    Args:
        module: A network.
        inputs: Its inputs.
        names: Layers.

    Raises:
        UsageError: A layer is not there, or gives something else than one tensor.
    """
    if not names:
        return module(*inputs), {}
    if isinstance(module, Layered):
        outputs, values = module.with_layers(inputs, names)
        return outputs, {name: _one_tensor(name, value) for name, value in values.items()}
    with recording(module, names) as values:
        outputs = module(*inputs)
    return outputs, values


@contextlib.contextmanager
def recording(module: nn.Module, names: Sequence[str]) -> Iterator[Values]:
    """Within the block, each forward pass leaves behind what the named layers gave.

    Args:
        module: A network of torch modules.
        names: Some of them.

    Yields:
        The values of the latest pass, by name.

    Raises:
        UsageError: A layer is not there; in a pass: it gives something else than one tensor.
    """
    parts = dict(module.named_modules())
    values: Values = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            values[name] = _one_tensor(name, output)

        return hook

    with contextlib.ExitStack() as stack:
        for name in names:
            if name not in parts or not name:
                raise unknown_layer(name, tuple(parts))
            stack.enter_context(_removed(parts[name].register_forward_hook(keep(name))))
        yield values


def _one_tensor(name: str, output: Any) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        raise UsageError(
            f"layer {name!r} gives a {type(output).__name__}", remedy="name a layer that gives one tensor"
        )
    return output


def unknown_layer(name: str, known: Sequence[str]) -> UsageError:
    """The error for a layer that is not there, with those that sound like it."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or [n for n in known if n][:3]
    return UsageError(f"there is no layer {name!r}", remedy=f"name one such as {', '.join(near)}")


@contextlib.contextmanager
def _removed(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _stages(module: nn.Module, sample: Inputs) -> dict[tuple[int, ...], str]:
    """The last layer of each size: of images and volumes without their channels, of tokens with them."""
    stages: dict[tuple[int, ...], str] = {}
    for name, shape in layer_shapes(module, sample).items():
        size = shape[2:] if len(shape) > 3 else shape[1:]
        if len(shape) > 2 and not (len(shape) > 3 and set(size) == {1}):
            stages.pop(size, None)
            stages[size] = name
    return stages
