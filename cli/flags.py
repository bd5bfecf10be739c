"""The flags that every verb takes, added to each command's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.targets import TARGET_NAMES
from .console import Console


@dataclass(frozen=True)
class Flags:
    """The flags that every verb takes.

    Attributes:
        console: Where the command prints.
        seed: The seed asked for; None leaves it to the recipe, or to 0.
        force: Whether outputs may be replaced.
    """

    console: Console
    seed: int | None
    force: bool

    @property
    def seed_or_zero(self) -> int:
        """The seed of a command without a recipe."""
        return self.seed or 0


Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout; text for people goes to stderr.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of every random choice.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Folder of a data set that is not in its usual place."),
]
Preprocess = Annotated[
    str | None, typer.Option("--preprocess", metavar="SPEC", help="How a folder of images becomes arrays.")
]
Target = Annotated[
    str,
    typer.Option("--target", metavar="NAME", help=f"What the model is made for: {', '.join(TARGET_NAMES)}."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Leave nodes of this name alone. Repeatable."),
]
Threads = Annotated[
    int, typer.Option("--threads", metavar="N", min=0, max=1024, help="Threads; 0 leaves it to ONNX Runtime.")
]
Libraries = Annotated[
    list[str] | None,
    typer.Option(
        "--ep-library", metavar="NAME=PATH", help="Load a plug-in library of execution providers. Repeatable."
    ),
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Accept nodes that the provider hands to the CPU.")
]
DATA_HELP = (
    "DATA: .npz, folder of images, file.py:function, or digits, fashion-mnist, cifar10 [:split][:limit]"
)
METRIC_NAMES = "top1, topK, f1, f1-micro, miou, mae, rmse, r2, retrieval, cosine, agreement"

_COMMON: tuple[tuple[str, Any, Any], ...] = (
    ("json", Json, False),
    ("seed", Seed, None),
    ("force", Force, False),
    ("verbose", Verbose, False),
    ("debug", Debug, False),
)


def with_flags(verb: Callable[..., None]) -> Callable[..., None]:
    """Turn ``verb(flags, ...)`` into a command that takes the common flags one by one."""
    own = inspect.signature(verb, eval_str=True)
    parameters = [p for name, p in own.parameters.items() if name != "flags"]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in _COMMON
    ]
    # Python wants parameters without a default first; typer goes by name only.
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]

    def command(
        *, json: bool, seed: int | None, force: bool, verbose: bool, debug: bool, **given: Any
    ) -> None:
        console = Console(json_wanted=json, verbose=verbose)
        verb(Flags(console, seed, force), **given)

    command.__name__ = verb.__name__
    command.__doc__ = verb.__doc__
    command.__signature__ = own.replace(parameters=[*keyword, *common])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*keyword, *common)}
    return command
