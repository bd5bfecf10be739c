"""Static quantization to Q/DQ: calibrate once, then place, write and prove as often as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...calib_data.calibration import calibrate
from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...calib_data.statistics import ValueStatistics
from ...core.detach import model_digest
from ...core.metrics import measure_graph
from ...core.reports import Skip
from ...core.targets import Target
from ...core.tensors import input_specs
from ..base import validate
from .absorption import clip_limits, let_through
from .adjustments import WeightAdjustment, adjust_weights
from .dynamic import DynamicOptions, quantize_recurrent
from .dynamic_effects import dynamic_effects, unbearable
from .eligibility import is_named
from .equalization import equalize
from .fidelity import float_outputs, layer_errors, noise_ratios, output_error
from .insertion import Writer, Written
from .opset import PER_CHANNEL_OPSET, WIDE_OPSET
from .options import QuantizeOptions, Tool, fitted
from .parameters import BOUNDS, ActivationParameters, activation_parameters, within
from .placement import Placement, calibrated_values, place, same_elements
from .preparation import Prepared, prepare, refuse_quantized
from .ranges import choose_range
from .report import NodeEffect, QuantizeReport
from .reporting import describe, join
from .smoothing import normalized_values, smooth
from .twins import copy_placed
from .wide import is_wide, wide_type

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trace:
    """What quantization decided on the way, in the float model's nodes and values.

    Attributes:
        model: The prepared float model.
        placement: What became integer.
        parameters: Scale and zero-point of each quantized value.
        written: Where each value went, and the integers of each weight.
        dynamic: What each layer that became dynamic alone does to the outputs.
    """

    model: ir.Model
    placement: Placement
    parameters: Mapping[ir.Value, ActivationParameters]
    written: Written
    dynamic: Sequence[NodeEffect] = ()


@dataclass(frozen=True)
class QuantizeOutcome:
    """A quantized model and what was done.

    Attributes:
        model: The model with Q/DQ.
        report: Types and why, ranges, errors, and the nodes that stay float.
        trace: The decisions behind it, for a diagnosis.
    """

    model: ir.Model
    report: QuantizeReport
    trace: Trace = field(repr=False)


class Quantizer:
    """Quantizes one model for one target as often as asked; the samples are run once for all methods and choices.

    Args:
        model: A float model, left as it is.
        data: The samples that ranges are taken from.
        options: How; the defaults if left out. What is excluded here is never calibrated.
        target: The hardware: it decides types, zero-points and where integers pay.
        runner: Executes graphs; ONNX Runtime by default.
        may_widen: Whether nodes may get 16-bit activations later, which need a newer opset.
        progress: Told how many samples are done.
        note: Told, in a sentence each, how the samples fit and how kept statistics are used.

    Raises:
        InputError: The model is quantized already, or nothing in it can become integer.
        ModelError: A weight is not finite, or its opset cannot be raised.
        DataError: Samples do not fit the model, or hold NaN or infinity.
    """

    def __init__(
        self,
        model: ir.Model,
        data: CalibrationData,
        options: QuantizeOptions | None = None,
        *,
        target: Target,
        runner: Runner | None = None,
        may_widen: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.options, self.note = options or QuantizeOptions(), note
        refuse_quantized(model, force=self.options.force)
        self.model, self.runner, self.progress = model, runner or OrtRunner(), progress
        self.target = fitted(target, self.options)
        self.data = data.for_model(input_specs(model))
        if note is not None:
            for text in self.data.notes:
                note(text)
        wide = may_widen or self.options.wide or self.target.activation_type in {"uint16", "int16"}
        wide = wide or self.options.weight_bits == 4
        self._opset = WIDE_OPSET if wide else PER_CHANNEL_OPSET
        self._bases: dict[frozenset[Tool], _Base] = {}

    def quantize(self, **changes: Any) -> QuantizeOutcome:
        """Quantize once.

        Args:
            changes: Options that differ from those given at first; types and target cannot.

        Returns:
            A new model and its report.

        Raises:
            InputError: Nothing can become integer.
            LimitError: The statistics do not fit the memory cap.
        """
        options = replace(self.options, **changes)
        base = self._base(options)
        tried = base.dynamic_effects(options)
        refused = unbearable(tried)
        dynamic = [effect for effect in tried if effect.node not in refused]
        placement = place(base.model, self.target, options, base.shapes, may_be_empty=bool(dynamic))
        parameters = self._parameters(placement, base.statistics, options)
        adjustments = self._adjustments(base, placement, parameters, options)
        placed = Trace(base.model, placement, parameters, Written({}, {}, ()), dynamic)
        return self._written(base, placed, adjustments, options)

    def written(
        self,
        trace: Trace,
        parameters: Mapping[ir.Value, ActivationParameters],
        adjustments: Mapping[str, WeightAdjustment],
    ) -> QuantizeOutcome:
        """Write what was decided once more, with weights that were trained in the meantime.

        Args:
            trace: The decisions; the float model in it has the weights to write.
            parameters: Scale and zero-point of each quantized value now.
            adjustments: By node name, what to do otherwise with its weight and bias.
        """
        base = next(b for b in self._bases.values() if b.model is trace.model)
        placed = replace(trace, parameters=parameters)
        return self._written(base, placed, adjustments, self.options)

    def _written(
        self,
        base: _Base,
        placed: Trace,
        adjustments: Mapping[str, WeightAdjustment],
        options: QuantizeOptions,
    ) -> QuantizeOutcome:
        """Write a placement, and measure what it does."""
        refused = unbearable(base.dynamic_effects(options))
        placement, parameters = placed.placement, placed.parameters
        result, written = _write(base.model, placement, parameters, self.target, options, adjustments)
        dynamic = self.dynamic_options(options)
        rest = quantize_recurrent(result, dynamic, target=self.target, refused=refused)
        validate(result)
        report = describe(
            placement, parameters, base.statistics, written, self.target, options, self.model.graph.inputs
        )
        join(report, rest)
        report.tool_skipped = base.skipped
        report.before, report.after = measure_graph(self.model), measure_graph(result)
        report.opset, report.widened = base.prepared.opset, base.prepared.widened
        report.samples, report.fingerprint = len(self.data), self.data.fingerprint
        if options.error_samples:
            samples = self.data.subset(options.error_samples, seed=options.seed)
            models = (base.model, result)
            outputs = float_outputs(base.model)
            ratios = noise_ratios(models, written.taps, outputs, samples, options, self.runner, base.shapes)
            report.layers = layer_errors(ratios, placement, written)
            report.output_ratio = output_error(ratios, outputs)
        return QuantizeOutcome(result, report, replace(placed, written=written))

    def dynamic_options(self, options: QuantizeOptions) -> DynamicOptions:
        """How layers that the static operators do not reach become integer."""
        return DynamicOptions(
            per_channel=options.per_channel,
            reduce_range=self.target.reduce_range,
            exclude=options.exclude if options.dynamic_rest else ("*",),
        )

    def _base(self, options: QuantizeOptions) -> _Base:
        """The float model with the exact tools applied, and what its values hold."""
        tools: frozenset[Tool] = frozenset(options.tools) & {"equalize", "smooth"}
        if tools not in self._bases:
            base = _Base(prepare(self.model, self._opset, self.data, self.runner), self)
            if "equalize" in tools:
                base.passed_over("equalize", equalize(base.model).skipped)
            if "smooth" in tools:
                base.passed_over("smooth", smooth(base.model, base.channel_amax()).skipped)
            self._bases[tools] = base
        return self._bases[tools]

    def _parameters(
        self, placement: Placement, seen: Mapping[str, ValueStatistics], options: QuantizeOptions
    ) -> dict[ir.Value, ActivationParameters]:
        """Scale and zero-point of every quantized value."""
        symmetric, full = self.target.zero_point == "symmetric", options.weight_range == "full"
        limits = {b.outputs[0]: clip_limits(b) for b in placement.absorbed.values()}
        found: dict[ir.Value, ActivationParameters] = {}
        for value in placement.values:
            root = placement.root(value)
            if root not in found:
                kind = self.target.activation_type
                if is_wide(placement, root, options.wide):
                    kind = wide_type(kind)
                levels = BOUNDS[kind][1] - BOUNDS[kind][0]
                low, high = choose_range(
                    seen[same_elements(root).name or ""],
                    options.method,
                    percentile=options.percentile,
                    levels=levels,
                    symmetric=symmetric,
                )
                least, most = let_through(root)
                low, high = min(max(low, least), 0.0), max(min(high, most), 0.0)
                own = activation_parameters(low, high, kind, symmetric=symmetric, full=full)
                limit = limits.get(root)
                found[root] = own if limit is None else within(own, limit[1])
            found[value] = found[root]
        return found

    def _adjustments(
        self,
        base: _Base,
        placement: Placement,
        parameters: Mapping[ir.Value, ActivationParameters],
        options: QuantizeOptions,
    ) -> dict[str, WeightAdjustment]:
        if not set(options.tools) & {"mse-weights", "round", "correct-bias"}:
            return {}
        return adjust_weights(
            base.model,
            placement,
            parameters,
            self.target,
            options,
            data=self.data,
            runner=self.runner,
        )


class _Base:
    """A prepared float model and the statistics of its values, which are collected when they are first asked for."""

    def __init__(self, prepared: Prepared, owner: Quantizer) -> None:
        self.prepared = prepared
        self.model = prepared.model
        self.shapes = prepared.shapes
        self.skipped: list[Skip] = []
        self._effects: list[NodeEffect] | None = None
        self._owner = owner

    def passed_over(self, tool: Tool, skipped: Iterable[Skip]) -> None:
        """Note what a tool left as it was."""
        self.skipped += [replace(s, text=f"{tool} passes it over: {s.text}") for s in skipped]

    @cached_property
    def statistics(self) -> dict[str, ValueStatistics]:
        """What each value that may be quantized holds over the samples."""
        owner = self._owner
        names = calibrated_values(self.model, owner.target, owner.options, self.shapes)
        return self._collect(names, {})

    def dynamic_effects(self, options: QuantizeOptions) -> list[NodeEffect]:
        """What each layer that is not excluded alone does to the outputs once it is dynamic; measured once."""
        owner = self._owner
        if self._effects is None:
            how = owner.dynamic_options(owner.options)
            self._effects = dynamic_effects(
                self.model, how, target=owner.target, data=owner.data, runner=owner.runner
            )
        nodes = {n.name: n for n in ir.traversal.RecursiveGraphIterator(self.model.graph)}
        return [e for e in self._effects if not is_named(nodes[e.node], options.exclude)]

    def channel_amax(self) -> dict[str, Any]:
        """The largest magnitude of each channel behind a normalization, for smoothing."""
        axes = dict.fromkeys(normalized_values(self.model), -1)
        seen = self._collect(list(axes), axes)
        return {name: statistics.channel_amax for name, statistics in seen.items()}

    def _collect(self, names: list[str], axes: Mapping[str, int]) -> dict[str, ValueStatistics]:
        owner, options = self._owner, self._owner.options
        key = model_digest(self.model) if options.keep_statistics else None
        return calibrate(
            self.model,
            owner.data,
            names,
            channel_axes=axes,
            key=key,
            runner=owner.runner,
            batch_size=options.batch_size,
            memory_bytes=options.memory_bytes,
            seed=options.seed,
            progress=owner.progress,
            note=owner.note,
        )


def quantize(
    model: ir.Model,
    data: CalibrationData,
    options: QuantizeOptions | None = None,
    *,
    target: Target,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> QuantizeOutcome:
    """Quantize a model for a target from calibration data; see :class:`Quantizer`, which this uses once.

    Args:
        model: A float model, left as it is.
        data: The samples that ranges are taken from.
        options: How; the defaults if left out.
        target: The hardware: it decides types, zero-points and where integers pay.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told how many samples are done.

    Returns:
        A new model and its report.

    Raises:
        InputError: The model is quantized already, or nothing in it can become integer.
        ModelError: A weight is not finite, or its opset cannot be raised.
        DataError: Samples do not fit the model, or hold NaN or infinity.
        LimitError: The statistics do not fit the memory cap.
        UsageError: The target has no kernel for the type of activations.
    """
    return Quantizer(model, data, options, target=target, runner=runner, progress=progress).quantize()


def _write(
    base: ir.Model,
    placement: Placement,
    parameters: Mapping[ir.Value, ActivationParameters],
    target: Target,
    options: QuantizeOptions,
    adjustments: Mapping[str, WeightAdjustment],
) -> tuple[ir.Model, Written]:
    """Write the placement into a copy, so that the float model stays for the comparison."""
    result, copied, moved = copy_placed(base, placement, parameters)
    written = Writer(result.graph, copied, moved, target, options, adjustments=adjustments).write()
    stock.RemoveUnusedNodesPass()(result)
    return result, written
