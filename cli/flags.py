"""The flags that every verb takes, added to each command's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.bounds import Bounds
from ..core.limits import use_limits
from ..core.targets import TARGET_NAMES
from .admit import parse_limits
from .console import Console
from .text import parse_duration, parse_size


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


@dataclass(frozen=True)
class Invocation:
    """How the command line was called.

    Attributes:
        arguments: What follows the command's name.
        is_bounded: Whether this process is already the one whose time and memory are limited.
    """

    arguments: tuple[str, ...]
    is_bounded: bool


Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout; text for people goes to stderr.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of every random choice.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Untrusted = Annotated[
    bool,
    typer.Option(
        "--untrusted", help="Work in a process of its own, limited to 600 s and 4 GiB unless given otherwise."
    ),
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="Stop the command after this: 90s, 10m.")
]
MemoryLimit = Annotated[
    str | None, typer.Option("--memory-limit", metavar="SIZE", help="Memory that the command may take: 2GiB.")
]
Admit = Annotated[
    list[str] | None,
    typer.Option(
        "--admit", metavar="NAME=N", help="Admit more, or less, of an input: nodes=400000. Repeatable."
    ),
]

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
    ("untrusted", Untrusted, False),
    ("timeout", Timeout, None),
    ("memory_limit", MemoryLimit, None),
    ("admit", Admit, None),
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

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    def command(
        *,
        context: typer.Context,
        json: bool,
        seed: int | None,
        force: bool,
        verbose: bool,
        debug: bool,
        untrusted: bool,
        timeout: str | None,
        memory_limit: str | None,
        admit: list[str] | None,
        **given: Any,
    ) -> None:
        bounds = _bounds(untrusted, timeout, memory_limit)
        if bounds is not None and not context.obj.is_bounded:
            from .bounded import run_apart

            raise typer.Exit(run_apart(context.obj.arguments, bounds, json_wanted=json))
        console = Console(json_wanted=json, verbose=verbose)
        with use_limits(parse_limits(admit or ())):
            verb(Flags(console, seed, force), **given)

    command.__name__ = verb.__name__
    command.__doc__ = verb.__doc__
    command.__signature__ = own.replace(parameters=[context, *keyword, *common])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (context, *keyword, *common)}
    return command


def _bounds(untrusted: bool, timeout: str | None, memory_limit: str | None) -> Bounds | None:
    """The limits that flags ask for; None where they ask for none."""
    seconds = parse_duration(timeout) if timeout is not None else None
    memory = parse_size(memory_limit) if memory_limit is not None else None
    if untrusted:
        usual = Bounds()
        return Bounds(seconds or usual.seconds, memory or usual.memory_bytes)
    return Bounds(seconds, memory) if seconds or memory else None
