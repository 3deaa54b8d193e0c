"""Structure-constrained fusion: `fuse`, `fuse_labels`, and the rules."""

from csl_plugin.fusion._fuse import Rule, default_rule, fuse, fuse_labels
from csl_plugin.ops.rules import Trust

__all__ = ["Rule", "Trust", "default_rule", "fuse", "fuse_labels"]
