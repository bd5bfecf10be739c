"""A small network for handwritten digits, from torch: what the pages on devices begin with.

python examples/edge/network.py digits.safetensors      # trains it in some seconds and writes its weights
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import sardonyx as sx
import torch
from safetensors.torch import save_file
from torch import nn


def network() -> nn.Module:
    """Logits of shape ``(batch, 10)`` for images of shape ``(batch, 1, 8, 8)``."""
    return nn.Sequential(
        OrderedDict(
            first=nn.Conv2d(1, 32, 3, padding=1),
            first_relu=nn.ReLU(),
            second=nn.Conv2d(32, 64, 3, stride=2, padding=1),
            second_relu=nn.ReLU(),
            third=nn.Conv2d(64, 64, 3, stride=2, padding=1),
            third_relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(64, 10),
        )
    )


def main(weights: Path, epochs: int = 15) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a network gains nothing from more
    data = sx.open_data("digits:train")
    (images,) = data.source.read(data.indices).values()
    inputs, labels = torch.from_numpy(images), torch.as_tensor(data.labels)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    save_file(model.state_dict(), weights)
    print(f"wrote {weights}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
