"""Pictures of images, scores, masks and regions."""

from csl_plugin.viz.four_panels import fusion_picture
from csl_plugin.viz.over_image import outline, overlay
from csl_plugin.viz.panels import side_by_side
from csl_plugin.viz.slider import BeforeAfter, before_after

__all__ = ["BeforeAfter", "before_after", "fusion_picture", "outline", "overlay", "side_by_side"]
