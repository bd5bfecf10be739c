"""Light augmentation of a batch of images, whole batches at a time."""

from __future__ import annotations

import torch
from torch.nn import functional

from ..core.errors import UsageError
from .options import TrainOptions

_ERASED_SHARE = 0.35
"""Side of the blanked square, as a share of the image's side."""


def is_augmented(options: TrainOptions) -> bool:
    """Whether these options change images at all."""
    return bool(options.flip or options.shift or options.erase)


def augment(images: torch.Tensor, options: TrainOptions, generator: torch.Generator) -> torch.Tensor:
    """Mirror, move and blank, each image by its own draw.

    Args:
        images: Shape ``(batch, channels, height, width)``.
        options: What is done.
        generator: Where chance comes from; the same state gives the same images.

    Returns:
        Images of the same shape.

    Raises:
        UsageError: The samples are not images.
    """
    if not is_augmented(options):
        return images
    if images.ndim != 4:
        raise UsageError(
            f"samples of shape {tuple(images.shape[1:])} are not images",
            remedy="leave flip, shift and erase out",
        )
    if options.flip:
        images = flip(images, generator)
    if options.shift:
        images = shift(images, options.shift, generator)
    return erase(images, options.erase, generator) if options.erase else images


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror half of the images left to right."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def shift(images: torch.Tensor, pixels: int, generator: torch.Generator) -> torch.Tensor:
    """Move each image by up to ``pixels`` in each direction; the border's pixels are repeated."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (pixels,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=generator)
    rows = (offsets[0] + torch.arange(height)).to(images.device)
    columns = (offsets[1] + torch.arange(width)).to(images.device)
    sample = torch.arange(count, device=images.device)
    return padded.movedim(1, -1)[sample[:, None, None], rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def erase(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Blank a square of some images with the image's mean (Zhong et al. 2017, arXiv:1708.04896)."""
    count, _, height, width = images.shape
    chosen = torch.rand(count, 1, generator=generator) < share
    inside = [
        (torch.arange(size) - torch.randint(0, size, (count, 1), generator=generator)).abs()
        < _ERASED_SHARE * size / 2
        for size in (height, width)
    ]
    blank = ((chosen & inside[0])[:, :, None] & inside[1][:, None, :])[:, None].to(images.device)
    return torch.where(blank, images.mean((1, 2, 3), keepdim=True), images)
