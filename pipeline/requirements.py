"""Versions: what is installed against what Sardonyx asks for, and packages that get in each other's way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata

from .findings import Finding

RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-cann",
)
"""Builds of ONNX Runtime: any one of them will do, and all of them install the same files."""

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)(\[[^\]]*\])?\s*(?P<bounds>[<>=!~][^;]*)?")


def installed_version(name: str) -> str | None:
    """The version of a distribution that is installed, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def stated_bounds(requirements: Iterable[str] | None = None) -> dict[str, str]:
    """What Sardonyx asks of each package, extras included.

    Args:
        requirements: Requirements as a package states them; Sardonyx' own where None.

    Returns:
        Bounds by package, such as ``>=1.1,<2``; packages without any are left out.
    """
    if requirements is None:
        requirements = metadata.requires("sardonyx") or ()
    found = (_REQUIREMENT.match(text) for text in requirements)
    return {m["name"]: _lowest_first(m["bounds"]) for m in found if m and m["bounds"]}


def _lowest_first(bounds: str) -> str:
    return ",".join(sorted(bounds.replace(" ", "").split(","), reverse=True))


def version_findings(
    bounds: Mapping[str, str], version_of: Callable[[str], str | None] = installed_version
) -> list[Finding]:
    """Whether what is installed lies within what is asked for; one finding for each that does not, or one in all.

    Args:
        bounds: Bounds by package.
        version_of: Looks a version up; None for what is not installed.
    """
    wrong = []
    for name, bound in bounds.items():
        version = version_of(name)
        if version is not None and not is_within(version, bound):
            text = f"{name} {version} is installed, and {name}{bound} is needed"
            wrong.append(Finding("versions", False, text, f'pip install -U "{name}{bound}"'))
    return wrong or [Finding("versions", True, "everything installed is new enough")]


def is_within(version: str, bounds: str) -> bool:
    """Whether a version lies within bounds.

    Args:
        version: As a package states it; what follows its numbers does not count.
        bounds: Such as ``>=1.1,<2``; other comparisons than these two are not judged.
    """
    have = _numbers(version)
    for bound in bounds.split(","):
        if bound.startswith(">=") and have < _numbers(bound[2:]):
            return False
        if bound.startswith("<") and not bound.startswith("<=") and have >= _numbers(bound[1:]):
            return False
    return True


def runtime_finding(version_of: Callable[[str], str | None] = installed_version) -> Finding:
    """Whether there is one build of ONNX Runtime: two overwrite each other's files, and which one runs is chance.

    Args:
        version_of: Looks a version up; None for what is not installed.
    """
    there = [name for name in RUNTIMES if version_of(name) is not None]
    if len(there) > 1:
        keep = there[-1]
        return Finding(
            "onnxruntime",
            False,
            f"{' and '.join(there)} are installed and overwrite each other's files",
            f"pip uninstall -y {' '.join(there)} && pip install {keep}",
        )
    if not there:
        return Finding("onnxruntime", False, "no build of ONNX Runtime", 'pip install "sardonyx[cpu]"')
    return Finding("onnxruntime", True, f"one build: {there[0]} {version_of(there[0])}")


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a release, without zeros at the end: ``2.10.0+cpu`` is (2, 10)."""
    match = re.match(r"\d+(\.\d+)*", version.strip())
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
