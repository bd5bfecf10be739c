"""A teacher's answers: given when they are asked for, or computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.cache import cache_path
from ..core.errors import DataError, StorageError
from ..core.files import write_atomic
from ..core.limits import current_limits
from .batches import Batch, read_samples
from .layers import Values, with_layers
from .losses import only
from .modules import device_of

_FORMAT = 1
_BATCH = 256
_OUTPUTS = "outputs"
_LAYER = "layer "


class Teaching(Protocol):
    """Where a teacher's answers for a batch come from."""

    def answer(self, batch: Batch) -> tuple[torch.Tensor, Values]:
        """The teacher's output, and what its named layers gave; none of it has a gradient."""
        ...


class Live:
    """Asks the teacher for every batch: it sees what the student sees.

    Args:
        teacher: In evaluation mode, on the inputs' device.
        layers: Layers whose values are wanted too.
    """

    def __init__(self, teacher: nn.Module, layers: Sequence[str] = ()) -> None:
        self.teacher = teacher
        self.layers = tuple(dict.fromkeys(layers))

    def answer(self, batch: Batch) -> tuple[torch.Tensor, Values]:
        """Run the teacher on the batch."""
        with torch.no_grad():
            outputs, values = with_layers(self.teacher, batch.inputs, self.layers)
        return only(outputs).float(), {name: t.float() for name, t in values.items()}


class Kept:
    """Looks answers up.

    Args:
        outputs: The teacher's output for each training sample.
        values: What its named layers gave for each.
        is_reused: Whether an earlier run computed them.
    """

    def __init__(self, outputs: torch.Tensor, values: Values, *, is_reused: bool) -> None:
        self.outputs = outputs
        self.values = values
        self.is_reused = is_reused

    def answer(self, batch: Batch) -> tuple[torch.Tensor, Values]:
        """The answers for the batch's positions."""
        device, at = batch.inputs[0].device, batch.positions
        return self.outputs[at].to(device), {name: t[at].to(device) for name, t in self.values.items()}


def keep_answers(
    live: Live, digest: str, data: CalibrationData, key: str, accelerator: Accelerator
) -> Kept | None:
    """Compute a teacher's answers once and keep them in the cache folder, or find them there.

    Args:
        live: Asks the teacher, which is in evaluation mode.
        digest: Says which teacher it is.
        data: The training samples.
        key: Says which samples they are.
        accelerator: The first process computes, the others read.

    Returns:
        The answers; None where they are too large to be kept.

    Raises:
        DataError: An answer is not finite.
    """
    probes = sorted({0, len(data) // 2, len(data) - 1})
    now = _tensors(live, data, probes)
    if 4 * len(data) * sum(t[0].numel() for t in now.values()) > current_limits().statistics_bytes:
        return None
    about = {"teacher": digest, "layers": " ".join(live.layers), "data": key}
    place = cache_path("teachers", **about, format=_FORMAT).with_suffix(".safetensors")
    shapes = {name: (len(data), *t.shape[1:]) for name, t in now.items()}
    with accelerator.main_process_first():
        found = _read(place, shapes)
        # The digest knows weights, and not what is done with them: a teacher that answers otherwise is another one.
        if found is not None and not all(_is_near(found[n][probes], t) for n, t in now.items()):
            found = None
        is_reused = found is not None
        if found is None:
            found = _computed(live, data, shapes)
            if accelerator.is_main_process:
                _write(place, found)
    values = {name.removeprefix(_LAYER): t for name, t in found.items() if name.startswith(_LAYER)}
    return Kept(found[_OUTPUTS], values, is_reused=is_reused)


def _tensors(live: Live, data: CalibrationData, positions: Sequence[int]) -> dict[str, torch.Tensor]:
    """The answers for some samples by the names that they have in the file, in the CPU's memory."""
    device = device_of(live.teacher)
    outputs, values = live.answer(Batch(tuple(t.to(device) for t in read_samples(data, positions))))
    named = {_OUTPUTS: outputs, **{_LAYER + name: t for name, t in values.items()}}
    if not all(torch.isfinite(t).all() for t in named.values()):
        raise DataError(
            f"the teacher's outputs for training samples {positions[0]} to {positions[-1]} are not finite",
            remedy="check the samples, and the teacher's weights",
        )
    return {name: t.cpu() for name, t in named.items()}


def _computed(
    live: Live, data: CalibrationData, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    found = {name: torch.empty(shape) for name, shape in shapes.items()}
    for start in range(0, len(data), _BATCH):
        positions = range(start, min(start + _BATCH, len(data)))
        for name, tensor in _tensors(live, data, positions).items():
            found[name][start : positions.stop] = tensor
    return found


def _is_near(kept: torch.Tensor, now: torch.Tensor) -> bool:
    """Whether two answers differ by no more than another processor's rounding."""
    return torch.allclose(kept, now, rtol=1e-2, atol=1e-3 * float(now.abs().max()))


def _read(place: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor] | None:
    """What the file holds; a file that is damaged, or is not what is looked for, is as good as none."""
    try:
        found = load_file(place)
    except (OSError, SafetensorError):
        return None
    if {name: tuple(t.shape) for name, t in found.items()} != dict(shapes):
        return None
    is_right = all(t.dtype == torch.float32 and bool(torch.isfinite(t).all()) for t in found.values())
    return found if is_right else None


def _write(place: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Keep the answers; a folder that does not allow it costs the next run the time, and this one nothing."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, save({name: t.contiguous() for name, t in tensors.items()}))
    except (OSError, StorageError):
        return
