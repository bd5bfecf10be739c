"""Where the time of a model goes, and where a second model gains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..calib_data import CalibrationData
from ..runtime import ProfileOptions, ProfileReport, profile_models
from .measurement import name_models
from .monitor import Monitor, Silent
from .opening import ModelLike


def profile(
    models: Sequence[ModelLike] | Mapping[str, ModelLike],
    data: CalibrationData | None = None,
    *,
    batch: int = 1,
    threads: int = 0,
    rounds: int | None = None,
    provider: str = "cpu",
    allow_fallback: bool = False,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> ProfileReport:
    """Time every node of a model, or of two models against each other.

    Args:
        models: One model, or two: how it was before and after.
        data: Samples to run; made up from the models' inputs where None.
        batch: Samples in a run.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Runs of each model; the harness's default where None.
        provider: The execution provider.
        allow_fallback: Whether the CPU may stand in for the provider.
        seed: Seed of order, made-up samples and intervals.
        monitor: Is told how work goes on.

    Raises:
        UsageError: There are other than one or two models, a number is out of range, or a batch is fixed.
        ProviderError: The provider is not there or ran nothing.
        DataError: The samples do not fit a model.
    """
    options = ProfileOptions(
        batch=batch,
        threads=threads,
        rounds=ProfileOptions.rounds if rounds is None else rounds,
        provider=provider,
        allow_fallback=allow_fallback,
        seed=seed,
    )
    with (monitor or Silent()).progress(f"profiling on {provider}") as progress:
        return profile_models(name_models(models), data, options, progress=progress)
