"""``sardonyx distill``: the training steps of a recipe, teacher to student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import Flags


def distill(
    flags: Flags,
    recipe: Annotated[
        Path, typer.Argument(help="The recipe, a TOML file with a distill or mutual step.", metavar="RECIPE")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to fill.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier try stopped.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the recipe: steps.1.epochs=20."),
    ] = None,
) -> None:
    """Train and distil what a recipe names.

    Does the train, distill and mutual steps of a recipe; the others are left for `run`. Several processes share the work:
    torchrun --nproc_per_node 2 -m sardonyx distill RECIPE -o FOLDER
    """
    from ..pipeline import plain, read_recipe, run_recipe, training_part
    from ..pipeline.crowd import is_first
    from .show import show_run

    overrides = {} if flags.seed is None else {"seed": flags.seed}
    loaded = training_part(read_recipe(recipe, overrides, settings=setting or ()))
    result = run_recipe(
        loaded, output, base=recipe.absolute().parent, resume=resume, force=flags.force, monitor=flags.console
    )
    if not is_first():
        return
    show_run(flags.console, result)
    flags.console.say(f"weights: {output}; next: add an export step and call `sardonyx run`")
    flags.console.document({"verb": "distill", "output": str(output), **plain(result.summary())})
