"""Operators that read images at places between their elements."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor

_MODES = {
    "linear": "bilinear",
    "bilinear": "bilinear",
    "nearest": "nearest",
    "cubic": "bicubic",
    "bicubic": "bicubic",
}


def grid_sample(node: NodePlan) -> Kernel:
    """GridSample."""
    named, padding = node.text("mode", "linear"), node.text("padding_mode", "zeros")
    aligned = bool(node.integer("align_corners", 0))
    if named not in _MODES:
        node.refuse(f"mode {named!r} is unknown")
    return lambda x, grid: functional.grid_sample(x, grid, _MODES[named], padding, aligned)


def affine_grid(node: NodePlan) -> Kernel:
    """AffineGrid."""
    aligned, read = bool(node.integer("align_corners", 0)), node.read_ints(1)
    return lambda theta, size: functional.affine_grid(theta, list(read(size) or ()), aligned)


def column_to_image(node: NodePlan) -> Kernel:
    """Col2Im, of images."""
    strides, dilations = node.ints("strides") or (1, 1), node.ints("dilations") or (1, 1)
    pads = node.ints("pads") or (0, 0, 0, 0)
    if len(pads) != 4 or pads[:2] != pads[2:] or node.sizes(1) not in (None, (2,)):
        node.refuse("pads that differ, or another rank than two, are not supported")
    read_size, read_block = node.read_ints(1), node.read_ints(2)

    def kernel(x: Tensor, size: Tensor, block: Tensor) -> Tensor:
        return functional.fold(
            x, read_size(size) or (), read_block(block) or (), dilations, pads[:2], strides
        )

    return kernel


def roi_align(node: NodePlan) -> Kernel:
    """RoiAlign by means: bilinear samples in the bins of each region (He et al. 2017, arXiv:1703.06870).

    Samples and their means are sums along one axis after the other, so each region is two products of matrices.
    """
    bins = (node.integer("output_height", 1), node.integer("output_width", 1))
    ratio, scale = node.integer("sampling_ratio", 0), node.number("spatial_scale", 1.0)
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    is_shifted = node.text("coordinate_transformation_mode", default) == "half_pixel"
    if node.text("mode", "avg") != "avg":
        node.refuse("maxima of samples are not supported")

    def kernel(x: Tensor, regions: Tensor, images: Tensor) -> Tensor:
        pooled = []
        for region, image in zip(regions * scale - 0.5 * is_shifted, images.tolist(), strict=True):
            left, top, right, bottom = region.unbind()
            height, width = (bottom - top, right - left)
            if not is_shifted:
                height, width = height.clamp(min=1.0), width.clamp(min=1.0)
            rows = _bin_weights(top, height, bins[0], ratio, x.shape[2])
            columns = _bin_weights(left, width, bins[1], ratio, x.shape[3])
            pooled.append(rows @ x[image] @ columns.t())
        return torch.stack(pooled) if pooled else x.new_zeros(0, x.shape[1], *bins)

    return kernel


def _bin_weights(first: Tensor, length: Tensor, bins: int, ratio: int, size: int) -> Tensor:
    """How much each element of an axis counts in each bin, ``(bins, size)``."""
    count = ratio or max(math.ceil(float(length.detach()) / bins), 1)
    places = first + (torch.arange(bins * count, dtype=first.dtype, device=first.device) + 0.5) * (
        length / (bins * count)
    )
    is_inside = (places >= -1.0) & (places <= size)
    places = places.clamp(0.0, size - 1.0)
    distances = (places.unsqueeze(1) - torch.arange(size, dtype=first.dtype, device=first.device)).abs()
    weights = (1.0 - distances).clamp(min=0.0) * is_inside.unsqueeze(1)
    return weights.reshape(bins, count, size).mean(1)
