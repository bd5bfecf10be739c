"""Fitting samples to a model's inputs: names, ranks, dimensions, element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DataError
from ..core.tensors import Array, Feed, TensorSpec

if TYPE_CHECKING:
    from .data import SampleSource


@dataclass(frozen=True)
class Bound:
    """Samples that fit a model.

    Attributes:
        source: The samples under the names and types of the model's inputs.
        fixed_batch: The batch size that the model insists on, or None.
        notes: What was converted, and which names of dimensions the samples do not keep to.
    """

    source: SampleSource
    fixed_batch: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class BoundSource:
    """A source read under a model's names and types.

    Attributes:
        inner: The source.
        renamed: For each input of the model, the array that serves it.
        dtypes: The element type of each input.
        is_whole: Whether each sample is a whole feed, without a batch axis of its own.
    """

    inner: SampleSource
    renamed: Mapping[str, str]
    dtypes: Mapping[str, np.dtype[Any]]
    is_whole: bool = field(default=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's inputs."""
        return tuple(self.renamed)

    def __len__(self) -> int:
        return len(self.inner)

    def read(self, indices: Sequence[int]) -> Feed:
        """The samples at the indices; exactly one where each is a whole feed."""
        given = self.inner.read(indices)
        feed = {name: convert(given[array], self.dtypes[name], name) for name, array in self.renamed.items()}
        return {name: array[0] for name, array in feed.items()} if self.is_whole else feed


def bind(source: SampleSource, indices: Sequence[int], specs: Sequence[TensorSpec]) -> Bound:
    """Fit a source to a model's inputs.

    Args:
        source: The samples.
        indices: Those that will be used; the first is read.
        specs: The model's inputs.

    Raises:
        DataError: They do not fit; what is expected and what is given is said.
    """
    renamed = _match_names(source, specs)
    first = source.read(indices[:1])
    given = {spec.name: first[renamed[spec.name]] for spec in specs}
    is_whole = all(s.shape is not None and given[s.name].ndim == len(s.shape) + 1 for s in specs)
    for spec in specs:
        _check_dims(spec, given[spec.name][0] if is_whole else given[spec.name], is_whole)
        _check_kind(spec, given[spec.name])
    dtypes = {spec.name: spec.dtype for spec in specs}
    converted = [name for name, dtype in dtypes.items() if given[name].dtype != dtype]
    notes = [
        f"input {n!r} was converted from {given[n].dtype} to {dtypes[n]} without loss" for n in converted
    ]
    notes += _notes_on_dimensions(specs, given, is_whole)
    bound = BoundSource(source, renamed, dtypes, is_whole)
    for index in indices if converted else ():
        bound.read([index])  # refuses a sample that would lose digits, before the first run
    return Bound(bound, 1 if is_whole else _fixed_batch(specs), tuple(notes))


def convert(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Convert an array to a type of the same kind, refusing to lose anything.

    Raises:
        DataError: The type cannot hold the values exactly.
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        made = array.astype(dtype)
        is_exact = np.array_equal(made.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
    if not is_exact or (made.dtype.kind == "u" and array.dtype.kind == "i" and (array < 0).any()):
        raise DataError(
            f"input {name!r} takes {dtype}, {array.dtype} is given and would lose digits",
            remedy=f"save the samples as {dtype}",
        )
    return made


def _match_names(source: SampleSource, specs: Sequence[TensorSpec]) -> dict[str, str]:
    given = [name for name in source.names if name != "labels"]
    if len(specs) == len(given) == 1:
        return {specs[0].name: given[0]}
    wanted = [spec.name for spec in specs]
    if set(wanted) != set(given):
        missing, extra = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
        raise DataError(
            f"the model takes {_listed(wanted)}, the samples hold {_listed(given)}"
            + (f"; missing {_listed(missing)}" if missing else "")
            + (f"; extra {_listed(extra)}" if extra else ""),
            remedy="name the arrays like the model's inputs, one for each",
        )
    return {name: name for name in wanted}


def _check_dims(spec: TensorSpec, array: Array, is_whole: bool) -> None:
    if spec.shape is None:
        return
    start = 0 if is_whole else 1
    fits = array.ndim == len(spec.shape) and all(
        not isinstance(wanted, int) or wanted == held
        for wanted, held in zip(spec.shape[start:], array.shape[start:], strict=True)
    )
    if not fits:
        held = "x".join(str(d) for d in array.shape[start:]) or "a single number"
        raise DataError(
            f"the model takes {spec}, each sample is {held} of {array.dtype}",
            remedy="shape the samples like the model's input, stacked on axis 0",
        )


def _check_kind(spec: TensorSpec, array: Array) -> None:
    """Floats may become other floats and integers other integers; nothing else is converted."""
    families = ("f", "iu")
    alike = any(spec.dtype.kind in kinds and array.dtype.kind in kinds for kinds in families)
    if array.dtype != spec.dtype and not alike:
        raise DataError(
            f"input {spec.name!r} takes {spec.dtype}, {array.dtype} is given",
            remedy=f"save the samples as {spec.dtype}, preprocessed as the model expects",
        )


def _notes_on_dimensions(
    specs: Sequence[TensorSpec], given: Mapping[str, Array], is_whole: bool
) -> list[str]:
    """Names that stand for several sizes: exporters give them away carelessly, and runtimes seldom mind.

    The batch has the size that is chosen for it, and agrees with no other dimension of its name.
    """
    sizes: dict[str, set[int | str]] = {}
    for spec in specs:
        held = given[spec.name].shape[1:] if is_whole else ("the batch", *given[spec.name].shape[1:])
        for name, size in zip(spec.shape or (), held, strict=False):
            if isinstance(name, str) and name:
                sizes.setdefault(name, set()).add(size)
    return [
        f"the model calls dimensions by one name, {name[:80]!r}, that differ: {', '.join(sorted(map(str, found)))}"
        for name, found in sizes.items()
        if len(found) > 1
    ]


def _fixed_batch(specs: Sequence[TensorSpec]) -> int | None:
    sizes = {spec.name: spec.shape[0] for spec in specs if spec.shape}
    fixed = {name: size for name, size in sizes.items() if isinstance(size, int) and size > 0}
    if len(set(fixed.values())) > 1:
        raise DataError(
            f"the model's inputs have different first dimensions: {fixed}",
            remedy="give whole feeds: for each input an array with one more dimension, the samples on axis 0",
        )
    return next(iter(fixed.values()), None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names[:12]) or "nothing"
