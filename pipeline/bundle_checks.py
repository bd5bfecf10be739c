"""Verifying a bundle on an execution provider, which must be there and must run the model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..core import ModelArtifact
from ..deploy import Opened, VerifyReport, check_report, verify
from ..runtime import open_session
from ..runtime.providers import choose_provider, current_offer

__all__ = ["VerifyReport", "check_report", "verify_bundle"]

_EXACT: Mapping[str, Mapping[str, str]] = {
    "CUDAExecutionProvider": {"use_tf32": "0"},
}
"""Options with which a provider computes 32-bit floats as such: products of 10 bits are no damage to a bundle."""


def verify_bundle(folder: str | Path, *, provider: str = "cpu", threads: int = 0) -> VerifyReport:
    """Check a bundle: its files against the manifest, its models, and what they make of the samples.

    Args:
        folder: The bundle.
        provider: The execution provider that the model runs on; a model in ORT format runs on the CPU.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.

    Returns:
        The checks, each passed or with the reason why not.

    Raises:
        InputError: The manifest cannot be read or says what no manifest says, or the folder holds links.
        UsageError: No provider is called so.
        ProviderError: The provider is not there, does not start, or runs no node of the model.
    """
    exact = _EXACT.get(choose_provider(provider, current_offer()).name, {})
    opener = partial(_open, provider=provider, threads=threads, exact=exact)
    return verify(folder, provider=provider, open_model=opener)


def _open(model: ModelArtifact, *, provider: str, threads: int, exact: Mapping[str, str]) -> Opened:
    session = open_session(model, provider, threads=threads, provider_options=exact)
    return Opened(session.run, lambda: tuple(session.notes))
