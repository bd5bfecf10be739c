"""Row 74: weights that are too large for one message stay in their file, and go through memory a tensor at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from large_chain import write_chain

WIDTH, HIDDEN = 1024, 4096
BLOCK_BYTES = 8 * WIDTH * HIDDEN
SHARE = 1.5
"""Of the weights; `benchmarks/large_model.py` measures it beyond 2 GiB."""

BESIDE = "--admit beside_bytes=1000000"
"""As if these weights were large: they stay in their file."""

COMMANDS = {
    "prune": "prune {} --criterion magnitude --no-compensate --params 0.7 --explain " + BESIDE,
    "quantize": "quantize {} --weight-only int8 -o q.onnx --force " + BESIDE,
    "compare": "compare {} --data d.npz --metric cosine " + BESIDE,
}


@pytest.mark.row(74)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_memory_is_bounded_by_the_weights(run, place: Path, command: str) -> None:
    np.savez(place / "d.npz", y0=np.ones((2, WIDTH), np.float32))
    write_chain(place / "tiny.onnx", 1, WIDTH, 16)
    weights = write_chain(place / "m.onnx", 3, WIDTH, HIDDEN)
    tiny, large = (run(*command.format(name).split(), cpu_s=60) for name in ("tiny.onnx", "m.onnx"))
    assert (tiny.code, large.code) == (0, 0), large.err
    assert large.peak_bytes - tiny.peak_bytes < SHARE * weights


@pytest.mark.row(74)
def test_more_than_two_gib_are_looked_at_and_not_read(run, place: Path) -> None:
    weights = write_chain(place / "m.onnx", 66, WIDTH, HIDDEN, is_sparse=True)
    assert weights > 2 << 30
    outcome = run("inspect", "m.onnx", "--json", cpu_s=30)
    assert outcome.code == 0, outcome.err
    assert f'"params": {weights // 4}' in outcome.out
    assert outcome.peak_bytes < weights / 4


@pytest.mark.row(74)
def test_weights_that_end_before_they_should_are_refused(refused, place: Path) -> None:
    weights = write_chain(place / "m.onnx", 66, WIDTH, HIDDEN, is_sparse=True)
    with (place / "m.data").open("r+b") as file:
        file.truncate(1 << 20)
    assert weights > 2 << 30
    refused("inspect", "m.onnx", says="m.data")
