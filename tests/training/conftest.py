"""Small data that a small module can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sardonyx.calib_data.data import CalibrationData
from sardonyx.training import TrainOptions, train_supervised
from torch import nn


def make_images(count: int, seed: int) -> CalibrationData:
    """Three classes of noisy 6x6 images: bright above, below, or on the left."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    images = random.normal(0, 0.5, (count, 1, 6, 6)).astype(np.float32)
    images[labels == 0, :, :3] += 1
    images[labels == 1, :, 3:] += 1
    images[labels == 2, :, :, :3] += 1
    return CalibrationData.from_arrays({"image": images}, labels)


def make_net(width: int = 8, dropout: float = 0.2) -> nn.Module:
    """A convolution, normalisation, dropout, and a linear layer, the same for the same width."""
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(36 * width, 3),
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Small work is slower on several threads, and equal bits need an equal number of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """What is kept between runs is kept for one test only."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SARDONYX_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def images() -> CalibrationData:
    return make_images(160, seed=0)


@pytest.fixture(scope="session")
def other_images() -> CalibrationData:
    return make_images(64, seed=1)


@pytest.fixture
def net():
    return make_net


@pytest.fixture(scope="session")
def teacher(images, other_images, tmp_path_factory) -> nn.Module:
    """A network that has learned the images."""
    module = make_net(16, 0.0)
    options = TrainOptions(
        epochs=4, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32"
    )
    checkpoint = tmp_path_factory.mktemp("teacher") / "t.safetensors"
    train_supervised(module, images, other_images, options, checkpoint=checkpoint)
    return module.eval()
