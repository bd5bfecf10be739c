"""Pruning of neurons and of single weights."""

from .branches import Branch, find_branches, skip_branches
from .costing import NodeTimes, TimeTable, macs_model, node_work
from .criteria import CRITERION_TABLE, NeuronView
from .options import CRITERIA, WITHOUT_SAMPLES, PruneOptions
from .plan import PLAN_SCHEMA, PlannedCut, PrunePlan
from .proof import Proof
from .prune import PruneOutcome, prune
from .report import GroupPlan, PruneReport, Round
from .skipping import BranchPrice, SkipBranchesPass, SkipReport, rank_branches
from .sparsity import Pattern
from .structured import StructuredPruningPass, sample_shapes_of
from .waypoint import Visit, Waypoint
from .weights import WeightPruningPass

__all__ = [
    "CRITERIA",
    "CRITERION_TABLE",
    "PLAN_SCHEMA",
    "WITHOUT_SAMPLES",
    "Branch",
    "BranchPrice",
    "GroupPlan",
    "NeuronView",
    "NodeTimes",
    "Pattern",
    "PlannedCut",
    "Proof",
    "PruneOptions",
    "PruneOutcome",
    "PrunePlan",
    "PruneReport",
    "Round",
    "SkipBranchesPass",
    "SkipReport",
    "StructuredPruningPass",
    "TimeTable",
    "Visit",
    "Waypoint",
    "WeightPruningPass",
    "find_branches",
    "macs_model",
    "node_work",
    "prune",
    "rank_branches",
    "sample_shapes_of",
    "skip_branches",
]
