"""Which neurons go together, and how they are taken out.

Index-level coupling by connected components: see :mod:`sardonyx.passes.coupling.analysis`.
"""

from .analysis import Coupling, analyze
from .cut import Kept, cut_classes
from .emitter import Contraction
from .grouping import Group, Member

__all__ = ["Contraction", "Coupling", "Group", "Kept", "Member", "analyze", "cut_classes"]
