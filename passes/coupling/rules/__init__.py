"""One rule for each operator: how channel indices propagate through it."""

from .table import RULES, Rule

__all__ = ["RULES", "Rule"]
