"""Pruning of neurons and of single weights."""

from .criteria import CRITERION_TABLE, NeuronView
from .options import CRITERIA, WITHOUT_SAMPLES, PruneOptions
from .proof import Proof
from .prune import PruneOutcome, prune
from .report import GroupPlan, PruneReport, Round
from .structured import StructuredPruningPass
from .weights import WeightPruningPass

__all__ = [
    "CRITERIA",
    "CRITERION_TABLE",
    "WITHOUT_SAMPLES",
    "GroupPlan",
    "NeuronView",
    "Proof",
    "PruneOptions",
    "PruneOutcome",
    "PruneReport",
    "Round",
    "StructuredPruningPass",
    "WeightPruningPass",
    "prune",
]
