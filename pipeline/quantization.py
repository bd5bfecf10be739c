"""Quantizing a model file: cleanup, types for the target, an accuracy budget, and what really runs on integers."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..core.reports import PassReport, Skip
from ..core.targets import Target, get_target
from ..passes.quantization import (
    METHODS,
    NodeEffect,
    QuantizeOptions,
    Quantizer,
    WeightOnlyOptions,
    climb,
    fitted,
    layer_effects,
    quantize_weights,
    textbook,
    wide_type,
)
from ..runtime import NodePlacement, integer_placement
from .drop_budget import Candidate, DropBudget, Judge, Relief, search_drop
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model, clean
from .precisions import make_precision
from .speed_choice import LAYERS, SpeedChoice, choose_fastest

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..passes.quantization.options import Method, Tool

AUTO = "auto"
"""The name that asks for the best of all methods."""

_EFFECT_SAMPLES = 32

_WEIGHT_BITS: dict[str, Literal[4, 8]] = {"int4": 4, "int8": 8}


@dataclass(frozen=True)
class Quantized:
    """What quantization gives.

    Attributes:
        model: The model, in memory.
        report: Types and why, ranges, errors, and the nodes that stay float.
        cleanup: What was cleaned up before.
        placement: For each node of the graph as ONNX Runtime optimises it, whether it runs on integers, and why
            not; None for a target that is not this CPU.
        budget: How the accuracy budget was met, where one was given.
        speed: What was timed and taken, where that was asked for.
        effects: What each integer node alone does to the outputs, worst first, where that was asked for.
    """

    model: ModelArtifact
    report: PassReport
    cleanup: PassReport
    placement: tuple[NodePlacement, ...] | None = None
    budget: DropBudget | None = None
    speed: SpeedChoice | None = None
    effects: tuple[NodeEffect, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The types that were chosen, and why, in sentences."""
        types = getattr(self.report, "types", None)
        if types is None:
            return ()
        bits = "" if types.weight_bits == 8 else f" of {types.weight_bits} bits"
        channels = "one scale a channel" if types.per_channel else "one scale a weight"
        chosen = (
            f"{types.target}: activations {types.activation} {types.zero_point}, "
            f"weights {types.weight}{bits} ({channels}), biases {types.bias}"
        )
        return (chosen, *types.reasons)

    @property
    def integer_nodes(self) -> int | None:
        """Nodes of the optimised graph that run on integers."""
        return None if self.placement is None else sum(node.is_integer for node in self.placement)

    @property
    def placed_nodes(self) -> int | None:
        """Nodes of the optimised graph."""
        return None if self.placement is None else len(self.placement)

    def save(self, path: str | Path, *, force: bool = False) -> ModelArtifact:
        """Write the model; see :meth:`~sardonyx.core.ModelArtifact.save`."""
        return self.model.save(Path(path), force=force)

    def summary(self) -> dict[str, Any]:
        """Model and reports, for JSON."""
        return {
            "sha256": self.model.sha256,
            "size_bytes": self.model.size_bytes,
            "reasons": self.reasons,
            "report": self.report,
            "cleanup": self.cleanup,
            "integer_nodes": self.integer_nodes,
            "placed_nodes": self.placed_nodes,
            "placement": self.placement,
            "budget": self.budget,
            "speed": self.speed,
            "effects": self.effects,
        }


class UnmetBudgetError(ExpectationError):
    """No choice of nodes holds an accuracy budget.

    Args:
        best: The model that loses least, with its budget.
    """

    def __init__(self, best: Quantized) -> None:
        budget = best.budget
        assert budget is not None
        worst = ", ".join(effect.node for effect in budget.culprits[:5]) or "none could be named"
        super().__init__(
            f"no choice of nodes holds {budget.metric} within {budget.max_drop:g}: the best loses {budget.lost:.4f}",
            remedy=f"try --method percentile, --tool round or more samples; the worst nodes: {worst}",
        )
        self.best = best


class QuantizeWords(TypedDict, total=False):
    """What :func:`quantize` can be told, beside the model and the samples.

    Attributes:
        precision: ``int8`` from samples, which is the default; ``dynamic`` int8, ``float16``, or ``mixed``: float16
            with some nodes in float32.
        method: ``minmax``, ``moving-average``, ``percentile``, ``entropy`` or ``mse``, or ``auto`` for the one with the
            least error at the outputs on the samples; the options' default where None.
        activations: Integer type of activations; the target's habit where None.
        weight_bits: 8, or 4: weights of 4 bits are stored in half of the bytes, and computed as 8 or in float.
        textbook: ``narrow`` or ``full``: symmetric int8 as it is taught, whatever the target's habit.
        tools: What is tried for accuracy beside choosing ranges; what does not help is left out.
        symmetric: Whether activations are symmetric about zero, which is zero-point 128 in uint8; the default of
            the options, which is the target's habit, where None.
        per_channel: Whether weights have one scale for each output channel; the options' default where None.
        exclude: Globs over node names that stay float.
        max_drop: How much of ``metric`` may be lost; the worst nodes go back to 16-bit activations, where the target
            has them, or to float until it holds.
        evaluation: The samples that ``max_drop`` is judged on.
        metric: What is measured there.
        diagnose: Whether the effect of each node alone on the outputs is measured.
        measure: Whether only what is faster than float on this machine is quantized: several ways are timed.
        batch: Batch size that ``measure`` times.
        threads: Threads of the evaluation and of ``measure``.
        weight_only: ``int4`` or ``int8``: only the weights of matrix products are quantized, in blocks.
        block: Weights that share one scale of these.
        rounding: How these are rounded: ``nearest``, ``gptq`` or ``hqq``.
        memory: Cap on what calibration holds at once, in bytes.
        options: Everything else that quantization can be asked.
        force: Whether a model that is quantized already is taken.
        seed: Seed of every random choice.
    """

    precision: str | None
    method: str | None
    activations: str | None
    weight_bits: int | None
    textbook: str | None
    tools: Sequence[str]
    symmetric: bool | None
    per_channel: bool | None
    exclude: Sequence[str]
    max_drop: float | None
    evaluation: CalibrationData | None
    metric: str
    diagnose: bool
    measure: bool
    batch: int
    threads: int
    weight_only: str | None
    block: int | None
    rounding: str | None
    memory: int | None
    options: QuantizeOptions | None
    force: bool
    seed: int


def quantize(
    model: ModelLike,
    data: CalibrationData | None = None,
    *,
    target: str | Target = "auto",
    monitor: Monitor | None = None,
    **words: Unpack[QuantizeWords],
) -> Quantized:
    """Quantize a model with types that suit a target.

    Args:
        model: The float model.
        data: Samples that ranges are taken from; not needed where only weights are quantized.
        target: What the model is made for.
        monitor: Is told how work goes on.
        words: How, as :class:`QuantizeWords` says.

    Returns:
        The model, in memory, and what was done.

    Raises:
        UsageError: The request contradicts itself.
        InputError: The model is quantized already, or nothing in it can become integer.
        DataError: The samples do not fit the model.
        UnmetBudgetError: The budget cannot be held; the error holds the model that loses least.
    """
    _refuse_unknown(words)
    artifact = as_model(model, monitor)
    common: dict[str, Any] = {
        "exclude": tuple(words.get("exclude", ())),
        "force": words.get("force", False),
    }
    aim = get_target(target) if isinstance(target, str) else target
    if words.get("weight_only") is not None:
        return _weights_only(artifact, data, words, symmetric=words.get("symmetric"), **common)
    for name in ("block", "rounding"):
        if words.get(name) is not None:
            raise UsageError(
                f"--{name} belongs to --weight-only", remedy="add --weight-only int4, or leave it out"
            )
    if words.get("precision") not in {None, "int8"}:
        _refuse(f"--precision {words['precision']}", _asked(words))
        cleaned, cleanup = clean(artifact)
        made = make_precision(str(words["precision"]), cleaned.load(), data, aim, **common)
        return Quantized(ModelArtifact.of(made.model), made.report, cleanup)
    if data is None:
        raise UsageError("quantization needs samples", remedy="add --calib DATA, or --weight-only int4")
    asked = _options(words, **common)
    methods = METHODS if words.get("method") == AUTO else ()
    has_budget = words.get("max_drop") is not None
    cleaned, cleanup = clean(artifact)
    work = _Work(cleaned, data, asked, aim, monitor or Silent(), has_budget=has_budget, methods=methods)
    if words.get("measure"):
        return _measured(work, cleanup, words)
    return _within_budget(work, artifact, cleanup, words)


def _options(words: QuantizeWords, **common: Any) -> QuantizeOptions:
    """Everything that was asked for; an unknown value is refused by the options themselves."""
    method, style = words.get("method"), words.get("textbook")
    given: dict[str, Any] = {
        "symmetric": words.get("symmetric"),
        "per_channel": words.get("per_channel"),
        "method": None if method == AUTO else method,
        "activation_type": words.get("activations"),
        "weight_bits": words.get("weight_bits"),
        "memory_bytes": words.get("memory"),
        "tools": cast("tuple[Tool, ...]", tuple(words.get("tools", ()))) or None,
    }
    asked = replace(words.get("options") or QuantizeOptions(), seed=words.get("seed", 0), **common)
    if style is not None:
        asked = textbook(asked, cast("Literal['narrow', 'full']", style))
    return replace(asked, **{name: value for name, value in given.items() if value is not None})


def _refuse_unknown(words: QuantizeWords) -> None:
    unknown = sorted(set(words) - set(QuantizeWords.__annotations__))
    if unknown:
        raise TypeError(f"quantize() takes no {unknown[0]!r}")


def _measured(work: _Work, cleanup: PassReport, words: QuantizeWords) -> Quantized:
    """Quantize what is faster for it on this machine.

    Raises:
        UsageError: An accuracy budget is asked for too, or the target is not this CPU.
    """
    if words.get("max_drop") is not None:
        raise UsageError(
            "--measure and --max-drop choose nodes by different things", remedy="give one of them"
        )
    if not work.target.is_cpu:
        raise UsageError(
            f"{work.target.name} cannot be timed on this CPU", remedy="leave --measure out, or --target auto"
        )
    found, speed = choose_fastest(
        work.source,
        work.attempt,
        work.data,
        batch=words.get("batch", 1),
        threads=words.get("threads", 0),
        seed=work.options.seed,
        monitor=work.monitor,
    )
    return Quantized(found.model, found.report, cleanup, found.placement, speed=speed)


def _within_budget(
    work: _Work, original: ModelArtifact, cleanup: PassReport, words: QuantizeWords
) -> Quantized:
    """Quantize everything, or as much as an accuracy budget lets.

    Raises:
        UnmetBudgetError: The budget cannot be held.
    """
    max_drop = words.get("max_drop")
    effects = work.rank() if words.get("diagnose") else ()
    if max_drop is None:
        found = work.attempt(Relief())
        return Quantized(found.model, found.report, cleanup, found.placement, effects=tuple(effects))
    judge = Judge(original, words.get("evaluation"), words.get("metric", "top1"), words.get("threads", 0))
    found, budget = search_drop(
        judge,
        work.attempt,
        lambda: effects or work.rank(),
        max_drop=max_drop,
        monitor=work.monitor,
        may_widen=work.may_widen,
    )
    result = Quantized(found.model, found.report, cleanup, found.placement, budget, effects=budget.culprits)
    if not budget.held:
        raise UnmetBudgetError(result)
    return result


def _asked(words: QuantizeWords) -> list[str]:
    """What was asked for that only Q/DQ from samples knows, as options of the command line."""
    given = {
        name: words.get(name)
        for name in ("method", "max_drop", "per_channel", "activations", "textbook", "weight_bits")
    }
    given |= {"measure": words.get("measure") or None, "tool": words.get("tools") or None}
    given |= {"diagnose": words.get("diagnose") or None}
    return [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]


def _refuse(what: str, asked: Sequence[str]) -> None:
    if asked:
        raise UsageError(f"{what} does not take {' or '.join(asked)}", remedy="leave it out")


@dataclass
class _Work:
    """One quantization, but for the nodes that stay in float."""

    source: ModelArtifact
    data: CalibrationData
    options: QuantizeOptions
    target: Target
    monitor: Monitor
    has_budget: bool = False
    methods: tuple[Method, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def may_widen(self) -> bool:
        """Whether a node may get 16-bit activations to hold a budget: its target has them, and they are not the rule."""
        kind = fitted(self.target, self.options).activation_type
        return self.has_budget and kind != wide_type(kind) and wide_type(kind) in self.target.activation_types

    @cached_property
    def quantizer(self) -> Quantizer:
        """Quantizes the model; the samples are run when it is first used."""
        options = replace(self.options, tools=())
        return Quantizer(
            self.source.load(),
            self.data,
            options,
            target=self.target,
            may_widen=self.may_widen,
            note=self.monitor.note,
        )

    def rank(self) -> list[NodeEffect]:
        """The integer nodes by what each alone does to the outputs, worst first."""
        self.monitor.note("measuring what each node alone does to the outputs")
        outcome = self.quantizer.quantize(exclude=self._excluded(()), error_samples=0)
        return layer_effects(outcome, self.quantizer, samples=_EFFECT_SAMPLES)

    def _excluded(self, spared: Sequence[str]) -> tuple[str, ...]:
        return (*self.options.exclude, *map(glob.escape, (*spared, *self.refused)))

    def attempt(self, relief: Relief) -> Candidate:
        """Quantize; nodes that ONNX Runtime then runs in float all the same are left in float, and named.

        Such a node would dequantize its weights in every run, which is slower than never to have quantized it.
        """
        found = self._quantize(relief)
        while refused := _refused(found):
            for name, reason in refused.items():
                self.monitor.note(
                    f"{name} stays in float: ONNX Runtime would not run it on integers: {reason}"
                )
            self.refused |= refused
            found = self._quantize(relief)
        for name, reason in self.refused.items():
            text = f"ONNX Runtime would not run it on integers: {reason}"
            found.report.skipped = _with_reason(
                found.report.skipped, Skip(name, None, "runtime-refuses", text)
            )
        for name in relief.to_float:
            text = "the accuracy budget wants it so" if self.has_budget else "left in float to be timed"
            found.report.skipped = _with_reason(found.report.skipped, Skip(name, None, "spared", text))
        return found

    def _quantize(self, relief: Relief) -> Candidate:
        wide = (*self.options.wide, *map(glob.escape, relief.to_wide))
        with self.monitor.progress("calibrating") as progress:
            self.quantizer.progress = progress
            outcome = climb(
                self.quantizer,
                self.options.tools,
                methods=self.methods,
                exclude=self._excluded(relief.to_float),
                wide=wide,
                at_any_cost=self.options.at_any_cost or relief.at_any_cost,
            )
        model = ModelArtifact.of(outcome.model)
        runs_here = self.target.is_cpu and self.options.weight_bits == 8
        placement = tuple(integer_placement(model)) if runs_here else None
        return Candidate(model, outcome.report, placement)


def _with_reason(skipped: Sequence[Skip], reason: Skip) -> list[Skip]:
    """The skips with another reason for one node, which was excluded on the user's behalf and not by the user."""
    return [*(skip for skip in skipped if skip.node != reason.node), reason]


def _refused(found: Candidate) -> dict[str, str]:
    """Layers that were quantized and yet have no integer kernel in the optimised graph, with the reason."""
    placed = {node.node: node for node in found.placement or ()}
    planned = [change.node for change in found.report.applied if change.what in LAYERS]
    if found.placement is None:
        return {}
    return {
        name: placed[name].reason if name in placed else "it was fused into a float kernel"
        for name in planned
        if name not in placed or not placed[name].is_integer
    }


def _weights_only(
    artifact: ModelArtifact, data: CalibrationData | None, words: QuantizeWords, **given: Any
) -> Quantized:
    """Quantize the weights of matrix products in blocks.

    Raises:
        UsageError: The type is not known, or something is asked for that it does not take.
    """
    kind = words.get("weight_only")
    _refuse("--weight-only", _asked(words))
    if kind not in _WEIGHT_BITS:
        raise UsageError(f"weights cannot be {kind!r}", remedy=f"choose one of {', '.join(_WEIGHT_BITS)}")
    given |= {"block_size": words.get("block"), "rounding": words.get("rounding")}
    options = WeightOnlyOptions(bits=_WEIGHT_BITS[kind], **{k: v for k, v in given.items() if v is not None})
    cleaned, cleanup = clean(artifact)
    outcome = quantize_weights(cleaned.load(), options, data)
    return Quantized(ModelArtifact.of(outcome.model), outcome.report, cleanup)
