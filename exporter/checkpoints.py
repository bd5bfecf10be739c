"""Weights from a file into a module: safetensors, or torch's format without any code in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..core.errors import ModelError

_SAFE = "save the state dict with safetensors.torch.save_file and pass that file"
_SHOWN = 5


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Fill a module from a checkpoint that matches it exactly.

    Files that end in ``.safetensors`` are read as such; anything else by ``torch.load(weights_only=True)``,
    which executes nothing. There is no second try with another reader.

    Args:
        module: Filled in place; unchanged where the checkpoint is refused.
        path: The file.

    Raises:
        ModelError: The file is missing, holds more than tensors by name (a pickled module, code, TorchScript),
            or its names, shapes or types differ from the module's.
    """
    state = read_state(Path(path))
    _check_match(module.state_dict(), state, Path(path).name)
    module.load_state_dict(state)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors by name.

    Args:
        path: A ``.safetensors`` file or a state dict saved by ``torch.save``.

    Raises:
        ModelError: As :func:`load_weights` says.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}", remedy="check the path of the weights")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path.name} is not a safetensors file: {error}", remedy="save the weights again"
        ) from error


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch suspects of a file is said by the refusal
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a hostile file can raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path.name} was refused: {reason[:200]}", remedy=_SAFE) from error
    if not isinstance(state, Mapping):
        raise ModelError(f"{path.name} holds {type(state).__name__}, not tensors by name", remedy=_SAFE)
    other = [str(k) for k, v in state.items() if not isinstance(k, str) or not isinstance(v, torch.Tensor)]
    if other:
        raise ModelError(f"{path.name} holds more than tensors by name: {_some(other)}", remedy=_SAFE)
    return dict(state)


def _check_match(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], name: str) -> None:
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    if missing or unexpected:
        _refuse(name, f"missing: {_some(missing)}; unexpected: {_some(unexpected)}")
    unlike = [
        f"{key} is {tuple(found[key].shape)} {found[key].dtype}, wanted {tuple(value.shape)} {value.dtype}"
        for key, value in wanted.items()
        if value.shape != found[key].shape or value.dtype != found[key].dtype
    ]
    if unlike:
        _refuse(name, _some(unlike))


def _refuse(name: str, difference: str) -> NoReturn:
    raise ModelError(
        f"{name} does not fit the module: {difference}",
        remedy="pass the weights of this module, names and all",
    )


def _some(names: list[str]) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
