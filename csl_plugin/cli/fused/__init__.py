"""The fused map of an image file and its score file, and the options that decide it."""

from csl_plugin.cli.fused.options import add_fused_option, add_fusion_options, source_of

__all__ = ["add_fused_option", "add_fusion_options", "source_of"]
