"""Augmentation moves what is there, by its own draw for each image."""

from __future__ import annotations

import pytest
import torch
from sardonyx.core.errors import UsageError
from sardonyx.training import TrainOptions
from sardonyx.training.augmentation import augment, erase, flip, shift
from sardonyx.training.batches import generator_for

IMAGES = torch.arange(64 * 2 * 5 * 7, dtype=torch.float32).reshape(64, 2, 5, 7)


def test_flip_mirrors_some() -> None:
    flipped = flip(IMAGES, generator_for(0))
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, IMAGES, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(flipped, IMAGES, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_shift_moves_by_up_to_the_pixels() -> None:
    image = torch.zeros(200, 1, 7, 7)
    image[:, 0, 3, 3] = 1
    moved = shift(image, 2, generator_for(0))
    places = moved.flatten(1).argmax(1)
    assert (moved.sum((1, 2, 3)) == 1).all()
    assert {(int(p) // 7 - 3, int(p) % 7 - 3) for p in places} == {
        (y, x) for y in range(-2, 3) for x in range(-2, 3)
    }


def test_shift_repeats_the_border() -> None:
    assert torch.equal(shift(torch.ones(8, 1, 4, 4), 3, generator_for(0)), torch.ones(8, 1, 4, 4))


def test_shift_keeps_channels_together() -> None:
    moved = shift(IMAGES, 1, generator_for(0))
    assert torch.equal(moved[:, 1] - moved[:, 0], torch.full((64, 5, 7), 35.0))


def test_erase_blanks_a_square_of_some() -> None:
    images = torch.arange(100.0).reshape(1, 1, 10, 10).repeat(200, 1, 1, 1)
    blanked = (erase(images, 0.5, generator_for(0)) != images).sum((1, 2, 3))
    assert 60 < int((blanked > 0).sum()) < 140
    assert int(blanked.max()) == 9


def test_the_same_draw_gives_the_same_images() -> None:
    options = TrainOptions(flip=True, shift=1, erase=0.5)
    first, again, other = (augment(IMAGES, options, generator_for(0, 1, step)) for step in (2, 2, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_images_can_be_augmented() -> None:
    vectors = torch.ones(2, 3)
    assert augment(vectors, TrainOptions(), generator_for(0)) is vectors
    with pytest.raises(UsageError, match="are not images"):
        augment(vectors, TrainOptions(flip=True), generator_for(0))
