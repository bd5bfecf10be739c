"""Orders, labels and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError
from sardonyx.training.batches import epoch_order, generator_for, labels_of, read_samples


def data(labels) -> CalibrationData:
    arrays = {"a": np.arange(4, dtype=np.float32)[:, None], "b": np.arange(4)}
    return CalibrationData.from_arrays(arrays, labels)


def test_order_is_a_new_permutation_each_epoch() -> None:
    first, again, other = epoch_order(50, 0, 1), epoch_order(50, 0, 1), epoch_order(50, 0, 2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert sorted(other.tolist()) == list(range(50))


def test_generators_differ_by_place() -> None:
    draws = {
        torch.rand(1, generator=generator_for(*place)).item() for place in [(0, 1), (0, 2), (1, 1), (0, 1)]
    }
    assert len(draws) == 3


def test_samples_of_a_part_keep_their_inputs_together() -> None:
    part, _ = data(np.zeros(4, np.int64)).split(0.5)
    left, right = read_samples(part, [1, 0])
    assert left[:, 0].tolist() == right.tolist() == [part.indices[1], part.indices[0]]


@pytest.mark.parametrize("labels", [None, np.zeros(4), np.zeros((4, 2), np.int64)])
def test_labels_must_be_class_numbers(labels) -> None:
    with pytest.raises(DataError, match="labels"):
        labels_of(data(labels), "training")
