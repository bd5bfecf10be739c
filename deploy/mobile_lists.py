"""ONNX Runtime's own lists of the operators that NNAPI and CoreML take, read from the installed library.

They lie beside ``onnxruntime.tools.mobile_helpers`` as Markdown tables of two columns. What is not as it has been is an
error: a list that is half read would leave nodes on the CPU that are taken, and say so with confidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

import onnx

from ..core.errors import EnvironmentFault, MissingExtraError

_PACKAGE = "onnxruntime.tools.mobile_helpers"
_HEADER = ("|Operator|Note|", "|--------|------|")
_ROW = re.compile(
    r"\|(?P<domain>ai\.onnx|com\.microsoft)[:.](?P<operator>\w+)\|(?P<note>[^|]*(?:\|\|[^|]*)*)\|"
)
"""One list has a point where the others have a colon; and a note may hold ``||``."""

_REMEDY = "install a release of onnxruntime from 1.22 to 1.32"


@cache
def read_list(name: str) -> Mapping[str, str]:
    """Read a list of the installed ONNX Runtime.

    Args:
        name: The file, such as ``nnapi_supported_ops.md``.

    Returns:
        For each operator, named ``ai.onnx:Conv``, the note: sentences divided by spaces.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        EnvironmentFault: The installed one has no such file, or one of another form.
    """
    try:
        text = resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf8")
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{_PACKAGE} has no readable {name}", remedy=_REMEDY) from error
    return parse_list(text, name)


def parse_list(text: str, name: str) -> Mapping[str, str]:
    """Read the text of a list.

    Args:
        text: A comment, the head of a table, and a row for each operator.
        name: What to call it.

    Raises:
        EnvironmentFault: A line is of another form, an operator is there twice, or there is none.
    """
    lines = [line.strip() for line in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).splitlines()]
    rows = [line for line in lines if line]
    if tuple(rows[:2]) != _HEADER:
        raise EnvironmentFault(f"{name} begins with another table than it did", remedy=_REMEDY)
    found: dict[str, str] = {}
    for line in rows[2:]:
        match = _ROW.fullmatch(line)
        if match is None:
            raise EnvironmentFault(f"{name} has a line of another form: {line[:60]!r}", remedy=_REMEDY)
        key = f"{match['domain']}:{_spelled(match['operator'])}"
        if key in found:
            raise EnvironmentFault(f"{name} names {key} twice", remedy=_REMEDY)
        found[key] = " ".join(match["note"].replace("<br/>", " ").split())
    if not found:
        raise EnvironmentFault(f"{name} names no operator", remedy=_REMEDY)
    return MappingProxyType(found)


@cache
def _standard_names() -> Mapping[str, str]:
    return {schema.name.lower(): schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}


def _spelled(operator: str) -> str:
    """The standard's spelling, where only capitals differ (``Argmax``)."""
    return _standard_names().get(operator.lower(), operator)
