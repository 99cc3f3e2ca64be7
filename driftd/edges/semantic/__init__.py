"""What two configuration files say differently: read by their format and compared, with DeepDiff for what is nested."""

from driftd.edges.semantic.differ import SemanticDiffer

__all__ = ["SemanticDiffer"]
