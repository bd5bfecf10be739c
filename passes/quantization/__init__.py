"""Static quantization to Q/DQ, dynamic quantization, and weight-only quantization to blocks."""

from .dynamic import DYNAMIC, DynamicOptions, DynamicOutcome, DynamicReport, quantize_dynamic
from .effects import layer_effects, node_effects
from .ladder import climb
from .options import METHODS, TOOLS, QuantizeOptions, fitted, textbook
from .preparation import quantized_node, refuse_quantized
from .quantizer import QuantizeOutcome, Quantizer, quantize
from .report import (
    ChosenTypes,
    LayerError,
    NodeEffect,
    QuantizeReport,
    TensorRange,
    ToolGain,
    WeightRange,
)
from .retraining import RetrainableGraph, retrainable, retrained
from .weight_only import (
    WeightOnlyOptions,
    WeightOnlyOutcome,
    WeightOnlyReport,
    quantize_weights,
)
from .wide import wide_type

__all__ = [
    "DYNAMIC",
    "METHODS",
    "TOOLS",
    "ChosenTypes",
    "DynamicOptions",
    "DynamicOutcome",
    "DynamicReport",
    "LayerError",
    "NodeEffect",
    "QuantizeOptions",
    "QuantizeOutcome",
    "QuantizeReport",
    "Quantizer",
    "RetrainableGraph",
    "TensorRange",
    "ToolGain",
    "WeightOnlyOptions",
    "WeightOnlyOutcome",
    "WeightOnlyReport",
    "WeightRange",
    "climb",
    "fitted",
    "layer_effects",
    "node_effects",
    "quantize",
    "quantize_dynamic",
    "quantize_weights",
    "quantized_node",
    "refuse_quantized",
    "retrainable",
    "retrained",
    "textbook",
    "wide_type",
]
