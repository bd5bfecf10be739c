"""The recipe: a chain of steps in TOML, refused with the place of what is wrong in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from ..core.errors import RecipeError, UsageError
from ..core.plain_file import read_plain
from ..core.targets import TARGET_NAMES
from .names import check_names
from .steps import KINDS, Part, Step

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class DataPart(Part):
    """Where samples come from, each in the words of ``DATA``.

    Attributes:
        train: Samples to train and distil on.
        calibration: Samples to prune and quantize with.
        evaluation: Samples with labels that say how good a model is.
        metric: What is measured on them: ``top1``, ``cosine``, ``sqnr`` or ``file.py:function``.
        root: Folder of the data set's files, where it is not in its usual place.
        preprocess: How a folder of images becomes arrays.
    """

    train: str | None = None
    calibration: str | None = None
    evaluation: str | None = None
    metric: str = "top1"
    root: str | None = None
    preprocess: str | None = None


class Recipe(Part):
    """A chain of steps.

    Attributes:
        name: What the run is called in its report.
        seed: Seed of every random choice.
        target: What the models are made for.
        model: An ``.onnx`` file that the chain starts from.
        data: The samples.
        steps: The steps, in order.
    """

    name: str = "run"
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    target: str = "auto"
    model: str | None = None
    data: DataPart = DataPart()
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)]

    @field_validator("target")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in TARGET_NAMES:
            raise ValueError(f"choose one of {', '.join(TARGET_NAMES)}")
        return name


def read_recipe(
    path: str | Path, overrides: Mapping[str, Any] | None = None, *, settings: Sequence[str] = ()
) -> Recipe:
    """Read a recipe file.

    Args:
        path: The TOML file.
        overrides: Top-level keys that replace what the file says.
        settings: Any other keys, as ``steps.2.params=0.4``; steps count from 0.

    Raises:
        RecipeError: The file is missing, is no TOML, or says something that a recipe cannot say; the error names
            the place.
        UsageError: A setting cannot be read, or names a place that the recipe does not have.
    """
    path = Path(path)
    remedy = "name a TOML file that exists"
    content = read_plain(path, "recipe_bytes", what="a recipe", remedy=remedy, kind=RecipeError)
    try:
        parsed = tomllib.loads(content.decode("utf8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not TOML: {error}", remedy="mend the file at the place named"
        ) from error
    except RecursionError as error:
        raise RecipeError(f"{path} is nested too deeply", remedy="a recipe has two levels") from error
    for setting in settings:
        _apply(parsed, setting)
    return parse_recipe({**parsed, **(overrides or {})}, origin=str(path))


def parse_recipe(content: Mapping[str, Any], origin: str = "recipe") -> Recipe:
    """Check a recipe that is already a mapping.

    Raises:
        RecipeError: It says something that a recipe cannot say; the error names the place.
    """
    try:
        recipe = Recipe.model_validate(dict(content))
    except ValidationError as error:
        raise _refusal(error, content, origin) from None
    check_names(recipe.steps, origin, has_model=recipe.model is not None)
    return recipe


def _apply(content: dict[str, Any], setting: str) -> None:
    """Put one ``key=value`` into a parsed recipe; the value is TOML, or else plain text."""
    key, equals, text = setting.partition("=")
    if not key or not equals:
        raise UsageError(
            f"setting {setting!r} is no KEY=VALUE", remedy="write for instance steps.2.params=0.4"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        place = _inside(place, part, key)
    if isinstance(place, list):
        _inside(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _inside(place: Any, part: str, key: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise UsageError(f"the recipe has no place {key!r}", remedy="steps count from 0, as in steps.0.epochs=3")


def _refusal(error: ValidationError, content: Mapping[str, Any], origin: str) -> RecipeError:
    """The first complaint of pydantic as one line, with its place in the file."""
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(_place(first["loc"]))
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return RecipeError(
            f"{origin}: {place}: unknown key{more}",
            remedy="remove it or correct its spelling; see docs/recipe.md",
        )
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    text = first["msg"][:1].lower() + first["msg"][1:]
    detail = "" if first["type"] == "missing" else f", not {shown}"
    return RecipeError(
        f"{origin}: {place}: {text}{detail}{more}", remedy="correct the value at the place named"
    )


def _place(location: Sequence[int | str]) -> list[str]:
    """The path of a value in the file; the kind that pydantic puts behind a step's number is left out."""
    return [
        str(part)
        for i, part in enumerate(location)
        if not (i >= 2 and location[0] == "steps" and i == 2 and part in KINDS)
    ]
