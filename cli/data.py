"""``sardonyx data``: samples as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import Flags, Preprocess, Root
from .text import size


def data(
    flags: Flags,
    name: Annotated[
        str, typer.Argument(help="digits, fashion-mnist, cifar10, or any other DATA.", metavar="NAME")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .npz file to write.")],
    split: Annotated[str | None, typer.Option(help="train or test.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many samples, chosen by the seed.")
    ] = None,
    root: Root = None,
    preprocess: Preprocess = None,
) -> None:
    """Write samples, with their labels, as an .npz file."""
    from ..calib_data.opening import places_read
    from ..core.files import check_output
    from ..pipeline import plain, write_samples

    check_output(output, force=flags.force, inputs=places_read(name))
    text = name if split is None else f"{name}:{split}"
    written = write_samples(
        text if limit is None else f"{text}:{limit}",
        output,
        root=root,
        preprocess=preprocess,
        seed=flags.seed_or_zero,
        force=flags.force,
    )
    flags.console.say(f"wrote {output}: {written.samples} samples, {size(written.size_bytes)}")
    for array in written.arrays:
        flags.console.say(f"  {array}")
    flags.console.document({"verb": "data", **plain(written)})
