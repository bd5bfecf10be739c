"""Spectra: discrete Fourier transforms and the windows before them. Complex numbers are pairs on a last axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ..dtypes import CARRIERS
from ..plan import Kernel, NodePlan
from .conversion import wanted_type

Tensor = torch.Tensor


def dft(node: NodePlan) -> Kernel:
    """DFT; its axis is an attribute before version 20, an input from it on."""
    is_half, is_back = bool(node.integer("onesided", 0)), bool(node.integer("inverse", 0))
    read_length, read_axis = node.read_number(1), node.read_number(2)
    default = node.integer("axis", 1) if node.opset < 20 else -2

    def kernel(x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
        given, count = read_axis(axis), read_length(length)
        at = (default if given is None else int(given)) % x.dim()
        return _transform(x, None if count is None else int(count), at, is_half=is_half, is_back=is_back)

    return kernel


def _transform(x: Tensor, length: int | None, axis: int, *, is_half: bool, is_back: bool) -> Tensor:
    is_complex = x.shape[-1] == 2
    values = torch.view_as_complex(x.contiguous()) if is_complex else x.squeeze(-1)
    if is_half and is_back:
        signal: Tensor = torch.fft.irfft(values, length, axis)
        return signal.unsqueeze(-1)
    if is_half:
        half: Tensor = torch.fft.rfft(values, length, axis)
        return torch.view_as_real(half)
    spectrum = torch.fft.ifft(values, length, axis) if is_back else torch.fft.fft(values, length, axis)
    return torch.view_as_real(spectrum)


def stft(node: NodePlan) -> Kernel:
    """STFT: the transform of each frame of a signal."""
    is_half, read_step, read_length = (
        bool(node.integer("onesided", 1)),
        node.read_number(1),
        node.read_number(3),
    )

    def kernel(x: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        stated = read_length(length)
        size = int(stated) if stated is not None else x.shape[1] if window is None else window.shape[0]
        frames = x.unfold(1, size, int(read_step(step))).movedim(-1, 2)
        if window is not None:
            frames = frames * window.reshape(1, 1, -1, 1)
        return _transform(frames, None, 2, is_half=is_half, is_back=False)

    return kernel


def _hann(x: Tensor) -> Tensor:
    return 0.5 - 0.5 * torch.cos(2 * math.pi * x)


def _hamming(x: Tensor) -> Tensor:
    return 25 / 46 - 21 / 46 * torch.cos(2 * math.pi * x)


def _blackman(x: Tensor) -> Tensor:
    return 0.42 - 0.5 * torch.cos(2 * math.pi * x) + 0.08 * torch.cos(4 * math.pi * x)


_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "BlackmanWindow": _blackman,
    "HammingWindow": _hamming,
    "HannWindow": _hann,
}


def window(node: NodePlan) -> Kernel:
    """HannWindow, HammingWindow and BlackmanWindow, periodic or symmetric."""
    shape, is_periodic, read = (
        _SHAPES[node.node.op_type],
        bool(node.integer("periodic", 1)),
        node.read_number(0),
    )
    stated = "output_datatype" in node.node.attributes
    dtype = CARRIERS[wanted_type(node, "output_datatype")] if stated else torch.float32

    def kernel(size: Any) -> Tensor:
        count = int(read(size))
        places = torch.arange(count, dtype=torch.float64) / max(count if is_periodic else count - 1, 1)
        return shape(places).to(dtype)

    return kernel
