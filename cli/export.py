"""``sardonyx export``: a torch module as an ``.onnx`` file, with parity proven."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import Flags


def export(
    flags: Flags,
    source: Annotated[str, typer.Argument(help="pkg.module:factory or file.py:factory", metavar="SOURCE")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .onnx file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights: .safetensors, or a .pt that holds tensors.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="An input: x=1x3x224x224. Repeatable.")
    ] = None,
    dynamic: Annotated[list[str] | None, typer.Option(help="A dynamic axis: x:0. Repeatable.")] = None,
    opset: Annotated[int | None, typer.Option(min=13, help="The opset to export to.")] = None,
) -> None:
    """Export a torch module to ONNX, parity proven."""
    from ..core.files import check_output
    from ..pipeline import export as run_export
    from ..pipeline import plain
    from .show import show_export

    check_output(output, force=flags.force, inputs=[weights] if weights else [])
    result = run_export(
        source,
        weights=weights,
        inputs=inputs or (),
        dynamic=dynamic,
        opset=opset,
        seed=flags.seed_or_zero,
        monitor=flags.console,
    )
    saved = result.model.save(output, force=flags.force)
    show_export(flags.console, result)
    flags.console.say(f"wrote {output} ({saved.size_bytes} bytes); next: sardonyx inspect {output}")
    flags.console.document(
        {"verb": "export", "output": str(output), "sha256": saved.sha256, **plain(result.report)}
    )
