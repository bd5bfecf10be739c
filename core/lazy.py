"""Public names that are loaded when they are first used, so that nobody pays for libraries that go unused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

TORCH_EXTRA = frozenset({"accelerate", "safetensors", "torch"})
"""What the extra ``torch`` installs."""


def load_name(
    package: str, homes: Mapping[str, str], name: str, *, optional: Collection[str] = (), extra: str = "torch"
) -> Any:
    """What a package's ``__getattr__`` gives for a name.

    Args:
        package: The package, by its full name.
        homes: The module inside it that holds each public name.
        name: The name.
        optional: Distributions whose absence is no fault of the package.
        extra: The extra that installs them.

    Raises:
        AttributeError: The package has no such name.
        MissingExtraError: An optional distribution is not installed.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{homes[name]}", package), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name not in optional:
            raise
        from .errors import MissingExtraError

        raise MissingExtraError(error.name, extra) from error
