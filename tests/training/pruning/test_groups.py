import numpy as np
import pytest
from sardonyx.core import UsageError
from sardonyx.training.pruning import NeuronGroup, Slice

ROWS = np.arange(4).reshape(2, 2)


def test_a_group_is_what_it_was_given():
    group = NeuronGroup("a", 2, (Slice("w", 1, ROWS, "reads"),))
    assert (group.width, group.slices[0].indices.tolist()) == (2, [[0, 1], [2, 3]])


@pytest.mark.parametrize(("width", "problem"), [(0, "empty"), (3, "has 3 neurons, and w has rows for 2")])
def test_a_group_of_another_width_is_refused(width, problem):
    with pytest.raises(UsageError, match=problem):
        NeuronGroup("a", width, (Slice("w", 1, ROWS, "reads"),))


@pytest.mark.parametrize("rows", [np.arange(3), np.zeros((0, 1), int), ROWS - 1])
def test_indices_that_are_none_are_refused(rows):
    with pytest.raises(UsageError, match="axis 0 of w"):
        Slice("w", 0, rows, "makes")
