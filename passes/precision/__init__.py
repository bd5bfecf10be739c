"""Other float types: float32 out of half precision, float16, and float16 with some nodes kept in float32."""

from .emulation import emulate_float16
from .float16 import Float16Outcome, to_float16
from .float32 import is_narrow, to_float32
from .mixed import BlockEffect, MixedOptions, MixedOutcome, MixedReport, to_mixed_float16

__all__ = [
    "BlockEffect",
    "Float16Outcome",
    "MixedOptions",
    "MixedOutcome",
    "MixedReport",
    "emulate_float16",
    "is_narrow",
    "to_float16",
    "to_float32",
    "to_mixed_float16",
]
