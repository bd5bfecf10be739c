"""Static quantization to Q/DQ, dynamic quantization, and weight-only quantization to blocks."""

from .dynamic import DynamicOptions, DynamicOutcome, DynamicReport, quantize_dynamic
from .effects import node_effects
from .ladder import climb
from .options import METHODS, TOOLS, QuantizeOptions, textbook
from .preparation import refuse_quantized
from .quantizer import QuantizeOutcome, Quantizer, quantize
from .report import (
    ChosenTypes,
    LayerError,
    NodeEffect,
    QuantizeReport,
    TensorRange,
    ToolGain,
    WeightRange,
    rank_sensitivity,
)
from .weight_only import (
    WeightOnlyOptions,
    WeightOnlyOutcome,
    WeightOnlyReport,
    quantize_weights,
)

__all__ = [
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
    "TensorRange",
    "ToolGain",
    "WeightOnlyOptions",
    "WeightOnlyOutcome",
    "WeightOnlyReport",
    "WeightRange",
    "climb",
    "node_effects",
    "quantize",
    "quantize_dynamic",
    "quantize_weights",
    "rank_sensitivity",
    "refuse_quantized",
    "textbook",
]
