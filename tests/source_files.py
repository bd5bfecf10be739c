"""The project's own files, for tests that read them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "api",
    "core",
    "calib_data",
    "exporter",
    "training",
    "deploy",
    "passes",
    "runtime",
    "pipeline",
    "cli",
)
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def identify(path: Path) -> str:
    """A file's place in the project."""
    return path.relative_to(ROOT).as_posix()
