"""``sardonyx inspect``: what a model holds, and which of its neurons go together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import Flags


def inspect(
    flags: Flags,
    model: Annotated[Path, typer.Argument(help="The .onnx file.", metavar="MODEL")],
    coupling: Annotated[
        bool, typer.Option("--coupling", help="Groups of coupled neurons, and why a frozen one is frozen.")
    ] = False,
) -> None:
    """Show what a model holds, and what can be cut.

    Inputs, outputs, operators, parameters, MACs and types; with --coupling every group of coupled neurons, and
    a reason for each that is frozen.
    """
    from ..pipeline import inspect as run_inspect
    from ..pipeline import plain
    from .show import show_inspect

    result = run_inspect(model, coupling=coupling)
    show_inspect(flags.console, result)
    flags.console.document({"verb": "inspect", **plain(result)})
