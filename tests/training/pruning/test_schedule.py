import pytest
from sardonyx.core import UsageError
from sardonyx.training.pruning import CubicSchedule


@pytest.mark.parametrize(
    ("done", "share"), [(0, 0.0), (20, 0.0), (40, 0.8 * (1 - 0.5**3)), (60, 0.8), (100, 0.8)]
)
def test_the_share_rises_with_the_cube(done, share):
    assert CubicSchedule(0.8, 0.2, 0.6).share(done, 100) == pytest.approx(share)


def test_it_begins_at_the_initial_share():
    schedule = CubicSchedule(0.9, 0.0, 1.0, initial=0.5)
    assert [schedule.share(n, 4) for n in (0, 2, 4)] == pytest.approx([0.5, 0.85, 0.9])


def test_it_is_due_every_so_often_and_at_the_end():
    schedule = CubicSchedule(0.5, 0.1, 0.62, frequency=20)
    assert [done for done in range(101) if schedule.is_due(done, 100)] == [10, 30, 50, 62]


@pytest.mark.parametrize(("end", "epochs", "first"), [(0.75, 4, 3), (0.1, 30, 3), (0.5, 3, 2), (1.0, 1, 1)])
def test_the_first_epoch_that_ends_with_the_final_share(end, epochs, first):
    schedule = CubicSchedule(0.5, 0.0, end)
    assert schedule.first_epoch(epochs) == first
    assert schedule.share(first * 10, epochs * 10) == 0.5


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"final": 1.0}, "is to be pruned"),
        ({"final": 0.3, "initial": 0.4}, "from 0.4 to 0.3"),
        ({"final": 0.3, "start": 0.5, "end": 0.5}, "from 0.5 to 0.5 of the training"),
        ({"final": 0.3, "frequency": 0}, "frequency 0"),
    ],
)
def test_a_schedule_that_is_none_is_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        CubicSchedule(**words)
