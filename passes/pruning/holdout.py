"""Dividing samples into those that are learnt from and those that judge."""

from __future__ import annotations

from ...calib_data.data import CalibrationData

_SHARE = 0.25
_MOST = 128


def split_off(
    data: CalibrationData, seed: int, *, most: int | None = _MOST
) -> tuple[CalibrationData, CalibrationData]:
    """Divide samples into those that statistics are taken from and those that judge.

    Args:
        data: The samples; too few to be divided, they serve for both.
        seed: Seed of the choice.
        most: How many judges are enough; None takes all that are held out.
    """
    if len(data) < 2 * data.batch_size_for(1):
        return data, data
    rest, held_out = data.split(_SHARE, seed=seed)
    return rest, held_out if most is None else held_out.subset(most, seed=seed)
