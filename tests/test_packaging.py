"""The repository folders and the declared packages must agree, and so must what is shipped beside the code."""

from __future__ import annotations

import sys
from importlib.metadata import metadata, requires
from importlib.resources import files
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))


def test_every_folder_with_code_is_declared() -> None:
    """A sub-package that is not listed would be missing from the wheel without any error."""
    config = PROJECT["tool"]["setuptools"]
    roots = {Path(path): name for name, path in config["package-dir"].items()}
    found = {
        ".".join((name, *init.parent.relative_to(ROOT / root).parts))
        for root, name in roots.items()
        for init in (ROOT / root).rglob("__init__.py")
    }
    assert found == set(config["packages"])


def test_no_folder_shadows_the_package() -> None:
    assert not (ROOT / "sardonyx").exists()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("sardonyx", "py.typed"),
        ("sardonyx.pipeline.report", "report.css"),
        ("sardonyx.pipeline.report", "report.html.j2"),
        ("sardonyx.pipeline.report", "report.js"),
    ],
)
def test_what_lies_beside_the_code_is_installed(package: str, name: str) -> None:
    assert files(package).joinpath(name).is_file()


def test_the_licence_is_that_of_the_file() -> None:
    assert metadata("sardonyx")["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf8")


def test_torch_comes_with_an_extra_only() -> None:
    heavy = [
        line for line in requires("sardonyx") or () if line.startswith(("torch", "onnxruntime", "accelerate"))
    ]
    assert heavy
    assert all("extra ==" in line for line in heavy)


def test_constraints_pin_everything_that_is_required() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf8").split()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *extras["cpu"],
        *extras["torch"],
        *extras["demo"],
        *extras["dev"],
    ]
    names = {line.split(">")[0].split(";")[0].strip().lower() for line in wanted if "tomli" not in line}
    assert names <= pinned
