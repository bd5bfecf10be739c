"""Static quantization to Q/DQ, and weight-only quantization to blocks."""

from .options import METHODS, QuantizeOptions
from .quantizer import QuantizeOutcome, quantize, refuse_quantized
from .report import ChosenTypes, LayerError, QuantizeReport, TensorRange, WeightRange, rank_sensitivity
from .weight_only import (
    WeightOnlyOptions,
    WeightOnlyOutcome,
    WeightOnlyReport,
    quantize_weights,
)

__all__ = [
    "METHODS",
    "ChosenTypes",
    "LayerError",
    "QuantizeOptions",
    "QuantizeOutcome",
    "QuantizeReport",
    "TensorRange",
    "WeightOnlyOptions",
    "WeightOnlyOutcome",
    "WeightOnlyReport",
    "WeightRange",
    "quantize",
    "quantize_weights",
    "rank_sensitivity",
    "refuse_quantized",
]
