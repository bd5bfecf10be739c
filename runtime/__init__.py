"""The ONNX Runtime harness: sessions that are verified, accuracy, latency and placement, all with intervals.

Importing this package does not import ONNX Runtime; opening a session or asking for providers does.
"""

from __future__ import annotations

from .accuracy import (
    Accuracy,
    SampleScores,
    accuracy_drop,
    evaluate,
    paired_drop,
    score_samples,
    summarize,
)
from .changed import Answers, ChangedAnswer, ChangedAnswers, answers_of, changed_answers, picture_of
from .compare import CompareReport, CompareRow, compare
from .drift import Drift, DriftOptions, ValueDrift, measure_drift
from .drop_test import DropTest
from .environment import Environment, environment_fingerprint
from .fallbacks import ExplainedPlacement, Fallback, explain_placement
from .feeds import fixed_batch
from .intervals import Interval
from .latency import measure_latency
from .latency_rows import LatencyOptions, LatencyReport, LatencyRow, LatencySkip
from .load_times import LoadTimes, load_times
from .machine_state import Conditions, MachineState
from .memory import peak_memory_bytes
from .metric_table import METRICS, Metric, find_metric
from .node_times import REST, time_nodes
from .optimized import NodePlacement, OptimizedNode, integer_placement, optimized_nodes
from .placement import NodeTime, Placement, ProviderShare
from .profile import (
    ModelProfile,
    NodeChange,
    NodeProfile,
    OperatorProfile,
    ProfileChange,
    ProfileOptions,
    ProfileReport,
    profile_models,
)
from .providers import ProviderStatus, list_providers, register_library
from .sessions import Session, open_session

__all__ = [
    "METRICS",
    "REST",
    "Accuracy",
    "Answers",
    "ChangedAnswer",
    "ChangedAnswers",
    "CompareReport",
    "CompareRow",
    "Conditions",
    "Drift",
    "DriftOptions",
    "DropTest",
    "Environment",
    "ExplainedPlacement",
    "Fallback",
    "Interval",
    "LatencyOptions",
    "LatencyReport",
    "LatencyRow",
    "LatencySkip",
    "LoadTimes",
    "MachineState",
    "Metric",
    "ModelProfile",
    "NodeChange",
    "NodePlacement",
    "NodeProfile",
    "NodeTime",
    "OperatorProfile",
    "OptimizedNode",
    "Placement",
    "ProfileChange",
    "ProfileOptions",
    "ProfileReport",
    "ProviderShare",
    "ProviderStatus",
    "SampleScores",
    "Session",
    "ValueDrift",
    "accuracy_drop",
    "answers_of",
    "changed_answers",
    "compare",
    "environment_fingerprint",
    "evaluate",
    "explain_placement",
    "find_metric",
    "fixed_batch",
    "integer_placement",
    "list_providers",
    "load_times",
    "measure_drift",
    "measure_latency",
    "open_session",
    "optimized_nodes",
    "paired_drop",
    "peak_memory_bytes",
    "picture_of",
    "profile_models",
    "register_library",
    "score_samples",
    "summarize",
    "time_nodes",
]
