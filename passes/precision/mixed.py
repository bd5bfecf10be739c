"""float16 with the nodes kept in float32 that cost the outputs most, by measurement.

Every block of nodes is put into float16 alone, and what that does to the outputs of the float32 model on samples is
its effect. Blocks stay in float32 in the order of their effects until the outputs are near enough; then those that
turn out not to matter are given back. What float16 hardware does is emulated, so the machine at hand need not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...core.errors import ExpectationError, UsageError
from ...core.metrics import measure_graph
from ...core.reports import PassReport
from ...core.tensors import input_specs
from ..output_error import OutputError
from .emulation import emulate_float16
from .float16 import EXCLUDED, Float16Outcome, convert_nodes, matching
from .retyping import prepared

Progress = Callable[[int, int], None]
_MEASURED = ("measured", "float16 costs the outputs too much here")


@dataclass(frozen=True)
class MixedOptions:
    """Options of mixed precision.

    Attributes:
        max_error: Largest error of an output: the length of the difference over the length of the right one.
        exclude: Glob patterns of node names that stay in float32 anyway.
        keep_io_types: Whether inputs and outputs of the model stay float32.
        samples: Most samples that errors are measured on.
        most_blocks: Most blocks that are measured apart; a block is one node, or several in a row.
    """

    max_error: float = 1e-2
    exclude: tuple[str, ...] = ()
    keep_io_types: bool = True
    samples: int = 16
    most_blocks: int = 64

    def __post_init__(self) -> None:
        if not self.max_error > 0.0:
            raise UsageError(
                f"the largest error is {self.max_error}", remedy="choose one above 0, such as 0.01"
            )
        if min(self.samples, self.most_blocks) < 1:
            raise UsageError("samples and most_blocks are counts", remedy="give positive numbers")


@dataclass(frozen=True)
class BlockEffect:
    """What float16 in one block alone does.

    Attributes:
        nodes: Names of its nodes.
        error: Error of the outputs when only these are in float16; infinite where something overflows.
        is_float32: Whether they stayed in float32.
    """

    nodes: tuple[str, ...]
    error: float
    is_float32: bool


@dataclass
class MixedReport(PassReport):
    """The report of mixed precision.

    Attributes:
        max_error: What was allowed.
        error: What the model given back has.
        float16_error: What float16 everywhere would have had.
        blocks: The effect of each block, the largest first; empty where float16 everywhere was near enough.
        samples: How many samples the errors were measured on.
    """

    max_error: float = 0.0
    error: float = 0.0
    float16_error: float = 0.0
    blocks: list[BlockEffect] = field(default_factory=list)
    samples: int = 0


@dataclass(frozen=True)
class MixedOutcome:
    """A model in mixed precision and what was done.

    Attributes:
        model: The model.
        report: The errors, and the effect of each block.
    """

    model: ir.Model
    report: MixedReport


def to_mixed_float16(
    model: ir.Model,
    data: CalibrationData,
    options: MixedOptions | None = None,
    *,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> MixedOutcome:
    """Make a float32 model compute in float16 as far as its outputs bear it.

    Args:
        model: Left as it is.
        data: The samples that the outputs are compared on.
        options: How; the defaults if left out.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told how many blocks are measured.

    Raises:
        ExpectationError: The error is too large with all but one block in float32.
        UsageError: A pattern matches no node.
        InputError: No node can compute in float16.
        ModelError: The graph contradicts itself, or the type of a value is not known.
        DataError: The samples do not fit the model.
    """
    options = options or MixedOptions()
    data = data.for_model(input_specs(model))
    source = prepared(model)
    excluded = matching(source, options.exclude)
    measured = OutputError(source, data, runner or OrtRunner(), samples=options.samples)
    search = _Search(source, excluded, measured, options)
    everywhere = search.convert(())
    report = MixedReport("mixed-float16", max_error=options.max_error)
    report.float16_error = report.error = measured.worst(emulate_float16(everywhere.model))
    chosen: tuple[_Block, ...] = ()
    if report.error > options.max_error:
        blocks = _blocks([change.node for change in everywhere.report.applied], options.most_blocks)
        effects = search.effects(blocks, progress)
        chosen, report.error = search.choose(effects)
        kept = set(chosen)
        report.blocks = [BlockEffect(block, effects[block], block in kept) for block in _ranked(effects)]
    final = search.convert(chosen, keep_io_types=options.keep_io_types)
    report.applied, report.skipped = final.report.applied, final.report.skipped
    report.details, report.samples = final.report.details, min(options.samples, len(data))
    report.before, report.after = measure_graph(model), measure_graph(final.model)
    return MixedOutcome(final.model, report)


_Block = tuple[str, ...]


def _blocks(names: Sequence[str], most: int) -> list[_Block]:
    """Names in their order, in no more than so many runs."""
    size = -(-len(names) // most)
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def _ranked(effects: dict[_Block, float]) -> list[_Block]:
    return sorted(effects, key=lambda block: -effects[block])


@dataclass(frozen=True)
class _Search:
    """Looks for the blocks that have to stay in float32."""

    source: ir.Model
    excluded: set[str]
    measured: OutputError
    options: MixedOptions

    def convert(self, blocks: Sequence[_Block], *, keep_io_types: bool = True) -> Float16Outcome:
        """The model with some blocks in float32."""
        kept = dict.fromkeys(self.excluded, EXCLUDED) | {n: _MEASURED for block in blocks for n in block}
        return convert_nodes(self.source, kept, keep_io_types=keep_io_types)

    def error(self, blocks: Sequence[_Block]) -> float:
        """The error with some blocks in float32."""
        return self.measured.worst(emulate_float16(self.convert(blocks).model))

    def effects(self, blocks: Sequence[_Block], progress: Progress | None) -> dict[_Block, float]:
        """The error with each block alone in float16."""
        found = {}
        for index, block in enumerate(blocks):
            found[block] = self.error([other for other in blocks if other is not block])
            if progress is not None:
                progress(index + 1, len(blocks))
        return found

    def choose(self, effects: dict[_Block, float]) -> tuple[tuple[_Block, ...], float]:
        """The blocks that stay in float32, and the error with them.

        Raises:
            ExpectationError: All but the last are not enough.
        """
        ranked = _ranked(effects)
        low, high = 0, len(ranked) - 1
        errors = {high: self.error(ranked[:high])} if high else {0: effects[ranked[0]]}
        if errors[high] > self.options.max_error:
            raise ExpectationError(
                f"the outputs differ by {errors[high]:.2g} with no more than {' '.join(ranked[-1])} in float16,"
                f" {self.options.max_error:g} is allowed",
                remedy="allow a larger error, or keep the model in float32",
            )
        while high - low > 1:
            middle = (low + high) // 2
            errors[middle] = self.error(ranked[:middle])
            low, high = (low, middle) if errors[middle] <= self.options.max_error else (middle, high)
        return self._give_back(ranked[:high], errors[high])

    def _give_back(self, kept: Sequence[_Block], error: float) -> tuple[tuple[_Block, ...], float]:
        """Put blocks into float16 after all, the least effect first, where the error stays small enough."""
        left = list(kept)
        for block in reversed(kept):
            fewer = [other for other in left if other is not block]
            found = self.error(fewer)
            if found <= self.options.max_error:
                left, error = fewer, found
        return tuple(left), error
