"""What an interrupted training leaves behind, in one safetensors file: tensors, and JSON. No pickle."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..core.errors import DataError, UsageError
from ..core.files import write_atomic
from .report import EpochRow

_KEY = "sardonyx.training"
_REMEDY = "delete it to start again"


def resume_path(checkpoint: Path) -> Path:
    """The file beside a checkpoint from which its training can be taken up again."""
    return checkpoint.with_name(f"{checkpoint.stem}.resume.safetensors")


@dataclass
class TrainState:
    """A training between two epochs.

    Attributes:
        identity: What must be the same when it is taken up again: options, data, parameter names.
        history: The epochs done.
        best_epoch: The best of them; 0 before the first.
        best_score: Its figure.
        weights: State dict after the last epoch.
        best_weights: State dict after the best epoch.
        optimizer: The optimizer's state dict.
        aids: State dict of what is trained along.
        hooks: The state of each hook, in order.
        scaler: The state dict of what scales the loss in fp16.
    """

    identity: Mapping[str, Any]
    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    aids: dict[str, torch.Tensor] = field(default_factory=dict)
    hooks: tuple[Mapping[str, torch.Tensor], ...] = ()
    scaler: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it so that the complete old file or the complete new one exists.

        Raises:
            StorageError: It cannot be written; an existing file is unchanged.
        """
        tensors = {f"weights/{k}": v for k, v in self.weights.items()}
        tensors |= {f"best/{k}": v for k, v in self.best_weights.items()}
        tensors |= {f"aids/{k}": v for k, v in self.aids.items()}
        tensors |= {f"hooks/{i}/{k}": v for i, hook in enumerate(self.hooks) for k, v in hook.items()}
        numbers: dict[str, dict[str, Any]] = {}
        for index, values in self.optimizer["state"].items():
            for key, value in values.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{index}/{key}"] = value
                else:
                    numbers.setdefault(str(index), {})[key] = value
        text = {
            "identity": self.identity,
            "history": [dataclasses.asdict(row) for row in self.history],
            "best": [self.best_epoch, self.best_score],
            "numbers": numbers,
            "groups": self.optimizer["param_groups"],
            "hooks": len(self.hooks),
            "scaler": self.scaler,
        }
        write_atomic(
            path, save({k: own(v) for k, v in tensors.items()}, {_KEY: json.dumps(text, sort_keys=True)})
        )

    @classmethod
    def load(cls, path: Path, identity: Mapping[str, Any]) -> TrainState:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.
            identity: What this run is.

        Raises:
            DataError: The file is damaged.
            UsageError: It belongs to a run with other options, data or parameters; the first one is named.
        """
        try:
            with safe_open(path, framework="pt") as file:
                text = json.loads((file.metadata() or {})[_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            _check_identity(text["identity"], json.loads(json.dumps(identity)), path)
            return cls._of(identity, text, tensors)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path.name} cannot be taken up again: {error!r}", remedy=_REMEDY) from error

    @classmethod
    def _of(
        cls, identity: Mapping[str, Any], text: dict[str, Any], tensors: dict[str, torch.Tensor]
    ) -> TrainState:
        moments: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in text["numbers"].items()}
        for name, tensor in _within(tensors, "optimizer").items():
            index, _, key = name.partition("/")
            moments.setdefault(int(index), {})[key] = tensor
        best_epoch, best_score = text["best"]
        return cls(
            identity,
            [EpochRow(**row) for row in text["history"]],
            best_epoch,
            best_score,
            weights=_within(tensors, "weights"),
            best_weights=_within(tensors, "best"),
            optimizer={"state": moments, "param_groups": text["groups"]},
            aids=_within(tensors, "aids"),
            hooks=tuple(_within(_within(tensors, "hooks"), str(i)) for i in range(text["hooks"])),
            scaler=text["scaler"],
        )


def own(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in the CPU's memory that shares nothing with the module, as safetensors wants it."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _within(tensors: Mapping[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {name.partition("/")[2]: t for name, t in tensors.items() if name.startswith(f"{part}/")}


def _check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            raise UsageError(f"{path.name} belongs to a training with another {name}", remedy=_REMEDY)
