"""Two processes teach a student as one does: what is trained along is shared too, and answers are computed once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sardonyx.training import resume_path

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
WORKER = """
import json, os, sys, torch
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from conftest import make_images, make_net
from sardonyx.training import DistillOptions, MutualOptions, TrainOptions, distill, distill_mutually, train_supervised
torch.set_num_threads(1)
quick = {"epochs": 3, "batch_size": 32, "learning_rate": 0.05, "validation_ratio": 0.2, "precision": "fp32"}
data, teacher, found = (make_images(160, 0), make_images(64, 1)), make_net(16, 0.0), {}
train_supervised(teacher, *data, TrainOptions(**quick), checkpoint=Path("t.safetensors"))
layers = DistillOptions(**quick, pairs="2:2", feature_weight=1.0, shift=1, accumulate=2)
for name, options in (("kept", DistillOptions(**quick)), ("layers", layers)):
    found[name] = distill(make_net(4), teacher, *data, options, checkpoint=Path(f"{name}.safetensors"))
pair = [make_net(4), make_net(8)]
found["mutual"] = distill_mutually(pair, *data, MutualOptions(**quick), checkpoint=Path("m.safetensors")).together
scores = {name: [r.processes, r.evaluation_score, r.history[-1].losses] for name, r in found.items()}
Path(f"rank{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(scores))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "worker.py").write_text(WORKER, encoding="utf8")
    for words in ((sys.executable,), TORCHRUN):
        command = [*words, "worker.py", str(Path(__file__).parent)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def scores(folder: Path, name: str) -> dict[str, list]:
    return json.loads((folder / f"rank{name}.json").read_text())


def test_both_processes_see_the_same(runs) -> None:
    assert scores(runs, "0") == scores(runs, "1")


@pytest.mark.parametrize("form", ["kept", "layers", "mutual"])
def test_the_result_is_within_noise_of_one_process(runs, form) -> None:
    (one, alone, _), (two, shared, _) = scores(runs, "alone")[form], scores(runs, "0")[form]
    assert (one, two) == (1, 2)
    assert min(alone, shared) > 0.7
    assert abs(alone - shared) <= 0.15


def test_what_is_trained_along_is_kept_for_resuming(runs) -> None:
    state = load_file(resume_path(runs / "layers.safetensors"))
    aid = next(t for name, t in state.items() if name.startswith("aids/") and name.endswith("weight"))
    assert aid.shape == (16, 4, 1, 1)
    assert torch.isfinite(aid).all()
    with pytest.raises(KeyError):
        _ = load_file(runs / "layers.safetensors")["0.regressor.weight"]
