"""What image files declare, read and checked before a decoder sees them."""

from csl_plugin.io.formats.layout import Damaged, Layout
from csl_plugin.io.formats.recognition import other_kind, read_layout

__all__ = ["Damaged", "Layout", "other_kind", "read_layout"]
