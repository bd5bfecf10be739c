"""Networks that teach each other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from sardonyx.core.errors import DataError, UsageError
from sardonyx.training import MutualOptions, distill_mutually, evaluate_top1, peer_path
from sardonyx.training.batches import Batch
from sardonyx.training.mutual import exchange
from torch import nn

QUICK = MutualOptions(epochs=4, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32")
LOG3 = math.log(3.0)


def test_each_is_compared_with_the_mean_of_the_others() -> None:
    logits = tuple(torch.tensor([[v, 0.0]], requires_grad=True) for v in (LOG3, 0.0, 0.0))
    terms = exchange(MutualOptions(peer_weight=0.5))(logits, Batch(labels=torch.tensor([0])))
    to_even = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    from_even = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert terms["peers 1"].item() == pytest.approx(0.5 * to_even, rel=1e-5)
    assert terms["peers 2"].item() == pytest.approx(0.5 * from_even / 2, rel=1e-5)
    assert terms["labels 1"].item() == pytest.approx(-math.log(0.75), rel=1e-5)
    terms["peers 1"].backward()
    assert logits[1].grad is None


def test_both_learn_and_report(net, images, other_images, tmp_path) -> None:
    networks = [net(4, 0.0), net(8, 0.0)]
    path = tmp_path / "m.safetensors"
    report = distill_mutually(networks, images, other_images, QUICK, checkpoint=path)
    for number, (network, one) in enumerate(zip(networks, report.networks, strict=True), start=1):
        assert one.evaluation_top1_ratio == evaluate_top1(network, other_images) > 0.8
        assert set(one.history[0].losses) == {"total", "labels", "peers"}
        assert one.params == sum(p.numel() for p in network.parameters())
        kept = load_file(peer_path(path, number))
        assert all(torch.equal(kept[name], t) for name, t in network.state_dict().items())
    mean = sum(one.evaluation_score for one in report.networks) / 2
    assert report.together.evaluation_score == pytest.approx(mean)
    assert report.agreement_ratio > 0.7


def test_a_resumed_run_ends_in_the_same_bits(net, images, other_images, tmp_path) -> None:
    def run(name: str, **more) -> bytes:
        path = tmp_path / name
        distill_mutually([net(4), net(8)], images, other_images, QUICK, checkpoint=path, **more)
        return path.read_bytes()

    def stop(done: int, total: int) -> None:
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("parts.safetensors", progress=stop)
    assert run("parts.safetensors", resume=True) == run("whole.safetensors")


def test_without_weight_each_learns_alone(net, images, other_images, tmp_path) -> None:
    options = replace(QUICK, peer_weight=0.0, epochs=1)
    report = distill_mutually(
        [net(4), net(8)], images, other_images, options, checkpoint=tmp_path / "m.safetensors"
    )
    assert set(report.networks[0].history[0].losses) == {"total", "labels"}


def test_what_is_no_class_is_refused(net, images, other_images, tmp_path) -> None:
    path, one = tmp_path / "m.safetensors", net(4)
    for networks in ([one], [one, one]):
        with pytest.raises(UsageError, match="1 different networks"):
            distill_mutually(networks, images, other_images, QUICK, checkpoint=path)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    with pytest.raises(UsageError, match=r"give \(1, 3\), \(1, 5\)"):
        distill_mutually([one, other], images, other_images, QUICK, checkpoint=path)


def test_labels_are_needed(net, images, other_images, tmp_path) -> None:
    bare = replace(images, all_labels=None)
    with pytest.raises(DataError, match="no labels"):
        distill_mutually([net(4), net(8)], bare, other_images, QUICK, checkpoint=tmp_path / "m.safetensors")
