"""Models in ORT format, beside the configuration of a build of ONNX Runtime that holds their operators and no others.

The configuration lists what the *converted* file holds. Operators that conversion fuses (``FusedConv``,
``QLinearConv``) or adds (``Transpose``) are in no list that is made from the .onnx file, and a runtime built from such
a list refuses the model on the device.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..core import ModelArtifact
from ..core.errors import ExpectationError, LimitError, MissingExtraError, ModelError, UsageError
from ..core.files import check_output, is_disk_error, temporary_folder, write_atomic
from .config_lines import parse_line
from .operators import OperatorSet, missing_operators, operators_of, read_config
from .ort_file import same_log_handlers

Style = Literal["fixed", "runtime"]
OrtPlatform = Literal["arm", "amd64"]

MODEL_NAME = "model.ort"
CONFIG_NAME = "operators.config"

_TARGETS: dict[str, str | None] = {"arm": "arm", "amd64": None}
"""What the converter calls each platform. Its own ``amd64`` bakes in convolutions whose weights are laid out for the
vector width of the machine that converts; without a name it leaves them out, and the file is right on any CPU."""

_HEADER = f"""\
# What {MODEL_NAME} needs. Build ONNX Runtime with
#   --include_ops_by_config {CONFIG_NAME} --enable_reduced_operator_type_support
"""


@dataclass(frozen=True)
class OrtModel:
    """A model in ORT format.

    Attributes:
        file: The model.
        config: The configuration of a reduced build that holds its operators.
        style: ``fixed``: optimised once and for all. ``runtime``: with optimisations that are applied on the device
            to what no other provider takes, and only if the session's option
            ``session.enable_saved_runtime_optimizations`` is 1.
        operators: What the configuration holds, and the element types of the file.
    """

    file: Path
    config: Path
    style: Style
    operators: OperatorSet


def convert_to_ort(
    model: ModelArtifact, folder: Path, *, style: Style = "fixed", platform: OrtPlatform = "arm"
) -> OrtModel:
    """Convert a model to ORT format, and write the configuration that the result needs.

    Args:
        model: The model, its opset and format already lowered to those of the device's runtime.
        folder: Where ``model.ort`` and ``operators.config`` are written; it exists and has neither.
        style: ``fixed`` for the CPU, ``runtime`` for providers that take whole parts of the graph (NNAPI, CoreML).
        platform: ``arm`` keeps int8 activations as they are (S8S8), ``amd64`` makes them uint8. Neither has kernels
            in it that depend on the machine that converts.

    Raises:
        UsageError: The style or platform is unknown, or a file is already there.
        ModelError: ONNX Runtime cannot convert the model.
        LimitError: It is too large for the format.
        ExpectationError: The configuration does not hold what the file does.
        MissingExtraError: ONNX Runtime is not installed.
        StorageError: The folder cannot be written.
    """
    for name, known, asked in (("style", ("fixed", "runtime"), style), ("platform", _TARGETS, platform)):
        if asked not in known:
            raise UsageError(f"unknown {name} {asked!r} of ORT format", remedy=f"choose {' or '.join(known)}")
    file, config = folder / MODEL_NAME, folder / CONFIG_NAME
    for path in (file, config):
        check_output(path)
    with temporary_folder() as temporary:
        made, listed = _convert(model, temporary, style, platform)
        found = operators_of(made)
        draft = temporary / CONFIG_NAME
        write_atomic(draft, _config_text(listed.read_text(encoding="utf8"), found).encode())
        operators = _proven(draft, found, style)
        content, lines = made.read_bytes(), draft.read_bytes()
    write_atomic(file, content)
    write_atomic(config, lines)
    return OrtModel(file, config, style, operators)


def _convert(model: ModelArtifact, folder: Path, style: Style, platform: OrtPlatform) -> tuple[Path, Path]:
    """Run the converter in a folder; the file it makes and the list of its operators."""
    try:
        with same_log_handlers():
            import onnxruntime as ort
            from onnxruntime.tools.convert_onnx_models_to_ort import (
                OptimizationStyle,
                convert_onnx_models_to_ort,
            )
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    try:
        write_atomic(folder / "model.onnx", model.content)
    except LimitError as error:
        raise LimitError(
            f"{model.name} is too large for ORT format, which holds 2 GiB", remedy="ship the .onnx file"
        ) from error
    keywords = {
        "optimization_styles": [OptimizationStyle[style.capitalize()]],
        "target_platform": _TARGETS[platform],
    }
    try:
        return _listed(ort, convert_onnx_models_to_ort, folder, keywords, is_typed=True)
    except ModelError:
        # Its lists of types know no 4-bit integers: a model that has some can only be listed without types. What
        # is wrong with the model itself is raised the second time.
        return _listed(ort, convert_onnx_models_to_ort, folder, keywords, is_typed=False)


def _listed(
    ort: Any, convert: Callable[..., None], folder: Path, keywords: dict[str, Any], *, is_typed: bool
) -> tuple[Path, Path]:
    target = folder / f"typed-{is_typed}"
    try:
        with _quiet(ort):
            convert(folder / "model.onnx", output_dir=target, enable_type_reduction=is_typed, **keywords)
        return next(target.glob("*.ort")), next(target.glob("*.config"))
    except Exception as error:  # ONNX Runtime's own errors share no base class
        if isinstance(error, OSError) and is_disk_error(error):
            raise
        raise ModelError(
            f"ONNX Runtime cannot convert the model to ORT format: {error}",
            remedy="run `sardonyx inspect` on the model",
        ) from error


@contextlib.contextmanager
def _quiet(ort: Any) -> Iterator[None]:
    """Keep what the converter prints and logs from our streams; what is wrong it raises."""
    log = logging.getLogger("ort_format_model.utils")
    level = log.level
    log.setLevel(logging.WARNING)
    ort.set_default_logger_severity(4)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        ort.set_default_logger_severity(2)  # what ONNX Runtime itself begins with
        log.setLevel(level)


def _config_text(listed: str, found: OperatorSet) -> str:
    """The converter's lines without its comments, which hold paths, and what it does not list of the file.

    It lists what is left when all saved optimisations are applied and when none is; one that is only possible where
    another was not applied is in neither list.
    """
    lines = [line for line in listed.splitlines() if parse_line(line) is not None]
    held: dict[str, set[str]] = {}
    for entry in filter(None, map(parse_line, lines)):
        for key in entry.keys:
            held.setdefault(key, set()).update(entry.names)
    absent = {key: sorted(set(names) - held.get(key, set())) for key, names in found.required.items()}
    lines += [f"{key};{','.join(names)}" for key, names in absent.items() if names]
    return _HEADER + "".join(f"{line}\n" for line in lines)


def _proven(config: Path, found: OperatorSet, style: Style) -> OperatorSet:
    """Read a configuration as we and as ONNX Runtime's build read it, and hold it against the file."""
    from onnxruntime.tools.reduced_build_config_parser import parse_config

    read = read_config(config)
    theirs, _ = parse_config(str(config), enable_type_reduction=True)
    flat = {
        f"{domain};{version}": tuple(sorted(n)) for domain, v in theirs.items() for version, n in v.items()
    }
    lacking = missing_operators(found, read)
    # Optimisations that are applied later leave more operators possible than the file has.
    is_exact = style == "runtime" or read.required == found.required
    if lacking or flat != read.required or not is_exact:
        told = "; ".join(lacking) or "they list different operators"
        raise ExpectationError(
            f"the configuration does not hold what the ORT format file does: {told}",
            remedy="this should not happen: report it with the model",
        )
    return replace(read, types=tuple(sorted({*read.types, *found.types})))
