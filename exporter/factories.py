"""Finding the function that makes a module: ``package.module:factory`` or ``path/file.py:factory``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from torch import nn

from ..core.errors import ModelError, UsageError
from ..core.user_code import import_by_name, run_file

_REMEDY = "name it as package.module:factory or path/file.py:factory"


def load_factory(source: str) -> Callable[[], nn.Module]:
    """Import a factory. This runs the user's own code.

    Args:
        source: ``package.module:factory``, looked up from the current folder and then as Python does, or
            ``path/file.py:factory``.

    Returns:
        A function without arguments that makes the module.

    Raises:
        UsageError: The text has another form, or the file, module or name does not exist.
        ModelError: The code fails when it is imported, or the factory does not make a module when called.
    """
    place, _, name = source.rpartition(":")
    if not place or not name.isidentifier():
        raise UsageError(f"source {source!r} names no factory", remedy=_REMEDY)
    module = _from_file(Path(place)) if place.endswith(".py") else _from_name(place)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"{place} defines no function {name!r}", remedy=_REMEDY)
    return lambda: _made(factory, source)


def _made(factory: Callable[[], object], source: str) -> nn.Module:
    try:
        module = factory()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ModelError(
            f"{source} fails: {error!r}", remedy="the factory takes no arguments; fix it"
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{source} returns {type(module).__name__}", remedy="return a torch.nn.Module")
    return module


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", remedy=_REMEDY)
    try:
        module = run_file(path, "source")
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ModelError(f"{path} fails when imported: {error!r}", remedy="fix the file") from error
    if module is None:
        raise UsageError(f"{path} cannot be imported", remedy=_REMEDY)
    return module


def _from_name(name: str) -> ModuleType:
    try:
        return import_by_name(name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"there is no module {error.name}", remedy=_REMEDY) from error
        raise ModelError(f"{name} fails when imported: {error!r}", remedy="fix the module") from error
