"""The one place that imports ONNX Runtime to run models, so that nothing does before it is needed."""

from __future__ import annotations

from typing import Any

from ..core.errors import EnvironmentFault, MissingExtraError

OLDEST = (1, 22)
"""The oldest ONNX Runtime that is supported, as (major, minor)."""


def load_onnxruntime() -> Any:
    """Import ONNX Runtime.

    Returns:
        The module.

    Raises:
        MissingExtraError: It is not installed.
        EnvironmentFault: It is too old.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    check_version(onnxruntime.__version__)
    return onnxruntime


def check_version(version: str) -> None:
    """Refuse an ONNX Runtime that is too old.

    Args:
        version: As the package states it, such as ``1.32.0``.

    Raises:
        EnvironmentFault: It is older than :data:`OLDEST`.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < OLDEST:
        floor = ".".join(map(str, OLDEST))
        raise EnvironmentFault(
            f"onnxruntime {version} is older than {floor}",
            remedy=f'run: pip install -U "onnxruntime>={floor}"',
        )
