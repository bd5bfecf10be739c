"""Running Python files that the user names, and leaving nothing beside them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def run_file(path: Path, kind: str) -> ModuleType | None:
    """Run a Python file as a module, which can import what lies beside it.

    Args:
        path: The file.
        kind: What it is to this program, a word for the module's name.

    Returns:
        The module; None where the name of the file is not that of a Python file.

    Raises:
        BaseException: Whatever the file raises.
    """
    name = f"sardonyx_{kind}_{path.stem}_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and annotations look their own module up here
    try:
        with _importing_from(path.resolve().parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def import_by_name(name: str) -> ModuleType:
    """Import a module, looked up from the current folder first.

    Raises:
        ModuleNotFoundError: There is none.
        BaseException: Whatever the module raises.
    """
    with _importing_from(Path.cwd()):
        return importlib.import_module(name)


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Look modules up in a folder first, and write no ``__pycache__`` into it: a refused input leaves no file."""
    entry, quiet = str(folder), sys.dont_write_bytecode
    sys.path.insert(0, entry)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = quiet
        sys.path.remove(entry)
