"""What objects are written as, and read back."""

from csl_plugin.objects.formats.coco import read_coco, write_coco
from csl_plugin.objects.formats.coco_images import read_images

__all__ = ["read_coco", "read_images", "write_coco"]
