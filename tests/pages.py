"""The commands in the project's own pages: fenced blocks of ``sh`` and ``python``, with what is expected of them.

A block is run; ``sh exit-3`` is run and ends with that exit code; ``sh no-run`` is only parsed, since it needs files
or hardware that a page cannot bring.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "benchmarks/README.md",
    ]
)

_BLOCK = re.compile(r"^```(?P<kind>sh|python)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        page: The page, relative to the root.
        words: The command, split as a shell would.
        is_run: Whether it can be run as it stands.
        exit_code: What it ends with.
    """

    page: str
    words: tuple[str, ...]
    is_run: bool
    exit_code: int

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands_of(page: Path) -> list[Command]:
    """Every command of a page, in order."""
    found = []
    for block in _BLOCK.finditer(page.read_text(encoding="utf8")):
        info = block["info"].split()
        code = next((int(word.removeprefix("exit-")) for word in info if word.startswith("exit-")), 0)
        is_python = block["kind"] == "python"
        lines = block["text"].replace("\\\n", " ").splitlines()
        for words in (
            [["python", "-c", block["text"]]] if is_python else [shlex.split(x, comments=True) for x in lines]
        ):
            if words:
                name = page.relative_to(ROOT).as_posix()
                found.append(Command(name, tuple(words), "no-run" not in info, code))
    return found


COMMANDS = [command for page in PAGES for command in commands_of(page)]
