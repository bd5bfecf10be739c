"""Which execution provider runs which node of a model, and the libraries that bring more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..calib_data import CalibrationData
from ..core.errors import UsageError
from ..runtime import ExplainedPlacement, explain_placement, fixed_batch, register_library
from .measurement import name_models
from .opening import ModelLike


@dataclass(frozen=True)
class ModelPlacement:
    """Where the nodes of one model ran.

    Attributes:
        model: Its name.
        found: What each provider ran, and why not another.
    """

    model: str
    found: ExplainedPlacement


def placements(
    models: Sequence[ModelLike] | Mapping[str, ModelLike],
    data: CalibrationData | None = None,
    *,
    providers: Sequence[str] = ("cpu",),
    batch: int = 1,
    threads: int = 0,
    allow_fallback: bool = False,
    provider_options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> tuple[ModelPlacement, ...]:
    """Run models a few times, and say which provider ran which node and why.

    Args:
        models: The models.
        data: Samples to run; made up from the models' inputs where None.
        providers: The execution providers, one after the other.
        batch: Samples in a run; a model with a fixed batch takes its own.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        allow_fallback: Whether the CPU may stand in for a provider.
        provider_options: Options for the providers, in their own words.
        seed: Seed of what is made up.

    Raises:
        UsageError: There is no model.
        ProviderError: A provider is not there or ran nothing.
        DataError: The samples do not fit a model.
    """
    return tuple(
        ModelPlacement(
            name,
            explain_placement(
                model,
                data,
                provider,
                batch=fixed_batch(model, data) or batch,
                threads=threads,
                allow_fallback=allow_fallback,
                provider_options=provider_options,
                seed=seed,
            ),
        )
        for provider in providers
        for name, model in name_models(models).items()
    )


def register_libraries(given: Sequence[str]) -> tuple[str, ...]:
    """Load plug-in libraries of execution providers.

    Args:
        given: Each as ``NAME=PATH``.

    Returns:
        The full names of the providers that they brought.

    Raises:
        UsageError: One is not of this form, or a name stands for two libraries.
        ProviderError: One cannot be loaded.
    """
    brought: list[str] = []
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"{text!r} names no plug-in library", remedy="write it as NAME=PATH")
        brought += register_library(name, path)
    return tuple(dict.fromkeys(brought))
