"""The ONNX Runtime harness: sessions that are verified, accuracy, latency and placement, all with intervals.

Importing this package does not import ONNX Runtime; opening a session or asking for providers does.
"""

from __future__ import annotations

from .accuracy import METRICS, Accuracy, SampleScores, accuracy_drop, evaluate, score_samples, summarize
from .compare import CompareReport, CompareRow, compare
from .environment import Environment, environment_fingerprint
from .intervals import Interval
from .latency import LatencyOptions, LatencyReport, LatencyRow, LatencySkip, measure_latency
from .memory import peak_memory_bytes
from .node_times import REST, time_nodes
from .optimized import NodePlacement, OptimizedNode, integer_placement, optimized_nodes
from .placement import NodeTime, Placement, ProviderShare
from .providers import ProviderStatus, list_providers
from .sessions import Session, open_session

__all__ = [
    "METRICS",
    "REST",
    "Accuracy",
    "CompareReport",
    "CompareRow",
    "Environment",
    "Interval",
    "LatencyOptions",
    "LatencyReport",
    "LatencyRow",
    "LatencySkip",
    "NodePlacement",
    "NodeTime",
    "OptimizedNode",
    "Placement",
    "ProviderShare",
    "ProviderStatus",
    "SampleScores",
    "Session",
    "accuracy_drop",
    "compare",
    "environment_fingerprint",
    "evaluate",
    "integer_placement",
    "list_providers",
    "measure_latency",
    "open_session",
    "optimized_nodes",
    "peak_memory_bytes",
    "score_samples",
    "summarize",
    "time_nodes",
]
