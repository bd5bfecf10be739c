"""``sardonyx run``: the whole chain of a recipe, into one folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .flags import Flags


def run(
    flags: Flags,
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="RECIPE")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to fill.")],
    resume: Annotated[bool, typer.Option("--resume", help="Reuse the steps that are finished.")] = False,
    target: Annotated[str | None, typer.Option(help="Instead of the recipe's target.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the recipe: steps.2.params=0.4."),
    ] = None,
) -> None:
    """Run the whole chain of a recipe.

    Fills a folder with the models, report.html, report.json and manifest.json.
    """
    from ..pipeline import plain, read_recipe, run_recipe
    from ..pipeline.crowd import is_first
    from .show import show_run

    overrides = {"seed": flags.seed, "target": target}
    loaded = read_recipe(
        recipe, {k: v for k, v in overrides.items() if v is not None}, settings=setting or ()
    )
    result = run_recipe(
        loaded,
        output,
        base=recipe.absolute().parent,
        resume=resume,
        force=flags.force,
        command=shlex.join(["sardonyx", *sys.argv[1:]]),
        monitor=flags.console,
    )
    if not is_first():
        return
    show_run(flags.console, result)
    flags.console.say(f"report: {output / 'report.html'}")
    flags.console.document({"verb": "run", "output": str(output), **plain(result.summary())})
