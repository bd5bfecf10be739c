"""Graph passes: cleanup, coupling, pruning and quantization of ONNX graphs in memory."""

from .base import GraphPass, validate
from .cleanup import CleanupPass

__all__ = ["CleanupPass", "GraphPass", "validate"]
