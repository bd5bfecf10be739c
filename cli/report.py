"""``sardonyx report``: the report of a run, rendered anew from its data."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .flags import Flags

if TYPE_CHECKING:
    from ..pipeline.report import RunReport


class Format(str, Enum):
    """What a report can be rendered as."""

    HTML = "html"
    MD = "md"
    JSON = "json"


def report(
    flags: Flags,
    folder: Annotated[Path, typer.Argument(help="The folder that run or optimize filled.", metavar="DIR")],
    format_: Annotated[
        Format, typer.Option("--format", help="A page, Markdown for a pull request, or the data alone.")
    ] = Format.HTML,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write: DIR/report.html, or for md and json stdout."),
    ] = None,
) -> None:
    """Render the report of a run anew.

    Reads DIR/report.json, which is the truth, and nothing else. Replaces DIR/report.html, which is made from it; a file
    named with -o is replaced with --force only.
    """
    from ..core.files import check_output, write_atomic
    from ..pipeline.report import read_report

    source = folder / "report.json"
    if output is not None:
        check_output(output, force=flags.force, inputs=[source])
    text = _renderer(format_)(read_report(source))
    place = folder / "report.html" if output is None and format_ is Format.HTML else output
    document = {"verb": "report", "format": format_.value, "output": None if place is None else str(place)}
    if place is None:
        flags.console.show(text.rstrip("\n"))
        flags.console.document({**document, "text": text})
        return
    write_atomic(place, text.encode("utf8"))
    flags.console.say(f"report: {place}")
    flags.console.document(document)


def _renderer(format_: Format) -> Callable[[RunReport], str]:
    from ..pipeline.documents import json_bytes
    from ..pipeline.report import render_html, render_markdown

    table: dict[Format, Callable[[RunReport], str]] = {
        Format.HTML: render_html,
        Format.MD: render_markdown,
        Format.JSON: lambda found: json_bytes(found).decode("ascii"),
    }
    return table[format_]
