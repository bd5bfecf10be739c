"""Every command in README, docs and examples: it parses, and what a page can run does what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from pages import COMMANDS, ROOT, Command
from sardonyx.cli.app import build

BIN = Path(sys.executable).parent
RUNNERS = frozenset({"sardonyx", "python"})
RUN = [command for command in COMMANDS if command.is_run and command.words[0] in RUNNERS]
SHORT = frozenset({"README.md", "docs/data.md", "docs/trust.md"})
"""Pages whose commands run in every test; `make test-slow` runs those of the others, which train, search and measure."""
PAGES = [
    pytest.param(page, marks=pytest.mark.slow) if page not in SHORT else page
    for page in dict.fromkeys(command.page for command in RUN)
]


def check_sardonyx(words: tuple[str, ...]) -> None:
    verbs = typer.main.get_command(build()).commands
    verbs[words[0]].make_context(words[0], list(words[1:]))


def check_make(words: tuple[str, ...]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


def check_python(words: tuple[str, ...]) -> None:
    assert words[0] in {"-c", "-m"} or (ROOT / words[0]).is_file() or is_in_a_bundle(words[0])


def is_in_a_bundle(word: str) -> bool:
    """Whether a word names client code that `package` puts into a bundle, or a copy of one."""
    folder, _, inside = word.partition("/")
    sources = ROOT / "deploy" / "client_sources"
    return folder in {"bundle", "served"} and (sources / inside.removeprefix("client/")).exists()


def check_client(words: tuple[str, ...]) -> None:
    """What builds or runs a client names its source, or the folder that it is built in."""
    assert any(is_in_a_bundle(word) or word == "build" for word in words)


def check_pip(words: tuple[str, ...]) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
    assert words[0] == "install"
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for e in extras for extra in e.split(","))


def check_apt(words: tuple[str, ...]) -> None:
    assert words == ("apt-get", "install", "dataset-fashion-mnist")


CHECKS: dict[str, Callable[[tuple[str, ...]], None]] = {
    "sardonyx": check_sardonyx,
    "make": check_make,
    "python": check_python,
    "pip": check_pip,
    "sudo": check_apt,
    "cmake": check_client,
    "npm": check_client,
    "node": check_client,
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.exit_code != 2], ids=str)
def test_a_command_says_what_the_program_takes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert command.words[0] in CHECKS
    CHECKS[command.words[0]](command.words[1:])


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_one_after_the_other(page: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.onnx"))
    shutil.copy(ROOT / "README.md", tmp_path)
    for command in (c for c in RUN if c.page == page):
        words = [str(BIN / command.words[0]), *command.words[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == command.exit_code, f"{command}\n{done.stderr[-2000:]}"
