from __future__ import annotations

import pytest
from sardonyx.core import TARGET_NAMES, UsageError, get_target
from sardonyx.core.targets import _fit_x86


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_every_target_is_complete(name):
    target = get_target(name)
    assert target.channel_multiple in {8, 16}
    assert target.reasons
    assert target.zero_point == "asymmetric" or target.activation_type == "int8"


def test_an_unknown_target_is_refused():
    with pytest.raises(UsageError, match="unknown target 'tpu'"):
        get_target("tpu")


@pytest.mark.parametrize(
    ("flags", "multiple", "reduced"),
    [
        (frozenset({"avx512f", "avx512_vnni"}), 16, False),
        (frozenset({"avx2", "avx_vnni"}), 8, False),
        (frozenset({"avx2"}), 8, True),
        (frozenset({"avx512f"}), 16, True),
        (frozenset(), 16, False),
    ],
)
def test_x86_follows_the_cpus_flags(flags, multiple, reduced):
    fitted = _fit_x86(get_target("qnn"), flags)
    assert (fitted.channel_multiple, fitted.reduce_range) == (multiple, reduced)
