"""Recipes: what is read, and that everything wrong is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sardonyx.core.errors import LimitError, RecipeError, UsageError
from sardonyx.pipeline.names import step_names
from sardonyx.pipeline.recipe import parse_recipe, read_recipe

PRUNE = {"kind": "prune", "params": 0.5}
CHAIN = {"model": "m.onnx", "steps": [PRUNE, {"kind": "quantize"}]}


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf8")
    return path


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, 'seed = 3\nmodel = "m.onnx"\n[[steps]]\nkind = "prune"\nparams = 0.5\n')
    recipe = read_recipe(path)
    assert (recipe.seed, recipe.steps[0].kind, recipe.steps[0].params) == (3, "prune", 0.5)


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'seed = 3\nmodel = "m.onnx"\n[[steps]]\nkind = "prune"\nparams = 0.5\n')
    recipe = read_recipe(path, {"seed": 4}, settings=["steps.0.params=0.25", "data.metric=cosine"])
    assert (recipe.seed, recipe.steps[0].params, recipe.data.metric) == (4, 0.25, "cosine")


@pytest.mark.parametrize("setting", ["params", "steps.7.params=1", "=3", "steps.x=1"])
def test_a_setting_without_a_place_is_refused(tmp_path: Path, setting: str) -> None:
    path = written(tmp_path, 'model = "m.onnx"\n[[steps]]\nkind = "quantize"\n')
    with pytest.raises(UsageError):
        read_recipe(path, settings=[setting])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"params": float("nan")}, "steps.0.params"),
        ({"params": 1.0}, "steps.0.params"),
        ({"params": -0.1}, "steps.0.params"),
        ({"params": "0.5"}, "steps.0.params"),
        ({"parms": 0.5}, "steps.0.parms"),
        ({"criterion": "luck"}, "steps.0.criterion"),
        ({"exclude": [1]}, "steps.0.exclude.0"),
        ({"align": 0}, "steps.0.align"),
        ({"kind": "cut"}, "steps.0"),
        ({"name": "../up"}, "steps.0.name"),
    ],
)
def test_a_wrong_step_is_refused_with_its_place(change: dict[str, object], place: str) -> None:
    with pytest.raises(RecipeError, match=f"recipe: {place.replace('.', '[.]')}[:.]"):
        parse_recipe({"model": "m.onnx", "steps": [{**PRUNE, **change}]})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"seed": 2**64}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"steps": []}, "steps"),
        ({"speed": 1}, "speed"),
        ({"data": {"training": "digits"}}, "data.training"),
    ],
)
def test_a_wrong_top_level_is_refused_with_its_place(change: dict[str, object], place: str) -> None:
    with pytest.raises(RecipeError, match=place):
        parse_recipe({**CHAIN, **change})


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(RecipeError, match=r"steps\.0\.colour: unknown key") as caught:
        parse_recipe({"model": "m.onnx", "steps": [{**PRUNE, "colour": "red"}]})
    assert "remove it" in caught.value.remedy


@pytest.mark.parametrize("text", ["steps = [", "\udcff", "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(text.encode("utf8", "surrogateescape"))
    with pytest.raises(RecipeError, match="is not TOML"):
        read_recipe(path)


def test_a_missing_or_endless_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(LimitError, match="the limit is 1,048,576"):
        read_recipe(written(tmp_path, "#" * (1 << 21)))


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([{"kind": "prune", "params": 0.5, "of": "later"}, {"kind": "quantize", "name": "later"}], "later"),
        ([{"kind": "prune", "name": "a", "params": 0.5}, {"kind": "quantize", "name": "a"}], "taken"),
        ([{"kind": "export", "of": "model"}], "no earlier step"),
        ([{"kind": "distill", "source": "m.py:s", "teacher": "nobody"}], "nobody"),
        ([{"kind": "quantize", "name": "model"}], "taken"),
    ],
)
def test_names_must_be_there_before_they_are_used(steps: list[dict[str, object]], cause: str) -> None:
    with pytest.raises(RecipeError, match=cause):
        parse_recipe({"model": "m.onnx", "steps": steps})


def test_steps_without_a_name_are_numbered() -> None:
    recipe = parse_recipe({"model": "m.onnx", "steps": [PRUNE, PRUNE, {**PRUNE, "name": "last"}]})
    assert step_names(recipe.steps) == ("prune", "prune-2", "last")


def test_a_recipe_does_not_change() -> None:
    recipe = parse_recipe(CHAIN)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 5  # type: ignore[misc]
