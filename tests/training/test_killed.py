"""Killed in the middle of an epoch and taken up again: as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from sardonyx.training import resume_path

WORKER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
from pathlib import Path
from conftest import make_images, make_net
from sardonyx.training import DistillOptions, distill
torch.set_num_threads(1)
path, last = Path(sys.argv[1]), int(sys.argv[3])

def progress(done, total):
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)

options = DistillOptions(
    epochs=3, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32", shift=1,
    pairs="2:2", feature_weight=1.0,
)
report = distill(
    make_net(4), make_net(8, 0.0), make_images(160, 0), make_images(64, 1), options,
    checkpoint=path, resume=True, progress=progress,
)
print(report.evaluation_score, report.resumed_epochs)
"""


def run(folder: Path, name: str, last: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", WORKER, str(folder / name), str(Path(__file__).parent), str(last)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(tmp_path) -> None:
    whole = run(tmp_path, "whole.safetensors", 0)
    killed = run(tmp_path, "parts.safetensors", 6)
    with pytest.raises(subprocess.CalledProcessError, match=str(signal.SIGKILL)):
        killed.check_returncode()
    assert not (tmp_path / "parts.safetensors").exists()
    resumed = run(tmp_path, "parts.safetensors", 0)
    assert whole.stdout.split()[1:] == ["0"], whole.stderr
    assert resumed.stdout.split() == [whole.stdout.split()[0], "1"], resumed.stderr
    first, second = (load_file(resume_path(tmp_path / f"{n}.safetensors")) for n in ("whole", "parts"))
    assert all(first[name].equal(second[name]) for name in first)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "parts.safetensors").read_bytes()
