"""Finding the function that makes a module: ``package.module:factory`` or ``path/file.py:factory``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from ..core.errors import ModelError, UsageError

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
    name = f"sardonyx_source_{path.stem}_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported", remedy=_REMEDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and annotations look their own module up here
    try:
        with _first_on_path(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        del sys.modules[name]
        raise ModelError(f"{path} fails when imported: {error!r}", remedy="fix the file") from error
    return module


def _from_name(name: str) -> ModuleType:
    try:
        with _first_on_path(Path.cwd()):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"there is no module {error.name}", remedy=_REMEDY) from error
        raise ModelError(f"{name} fails when imported: {error!r}", remedy="fix the module") from error


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    """Let the code import what lies beside it, for as long as it is imported."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
